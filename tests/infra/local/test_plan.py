"""Which bucket a stack has, and what is said when it is to have another one."""

from pathlib import Path

import pytest

from fedmodels.errors import InputError
from infra.local.plan import BUCKET, Stack, plan_stack, switch_of_bucket, write_stack
from infra.local.seaweedfs import StorePorts


def planned(home: Path, bucket: str | None) -> Stack:
    return plan_stack(
        home,
        ("shop-a",),
        bucket=bucket,
        server_port=None,
        s3_port=None,
        server_lives=False,
        store_lives=False,
    )


def test_a_stack_keeps_its_bucket_until_another_one_is_named(tmp_path):
    assert planned(tmp_path, None).bucket == BUCKET
    write_stack(Stack(tmp_path, "mine", ("shop-a",), 1, StorePorts(2, 3, 4, 5, 6)))
    assert planned(tmp_path, None).bucket == "mine"
    assert planned(tmp_path, "other").bucket == "other"


def test_a_switch_says_how_earlier_runs_are_seen_again(tmp_path):
    assert switch_of_bucket(tmp_path, "other") == "", "there was none before"
    write_stack(Stack(tmp_path, "mine", ("shop-a",), 1, StorePorts(2, 3, 4, 5, 6)))
    assert switch_of_bucket(tmp_path, None) == ""
    assert switch_of_bucket(tmp_path, "mine") == ""
    assert switch_of_bucket(tmp_path, "other") == (
        "the bucket is other from now on; runs and releases in mine stay there, and are seen again with "
        "FEDCART_BUCKET=mine"
    )


def test_a_copy_that_dvc_deletes_gets_no_stack(tmp_path):
    """Its processes would outlive their folder, and `fedcart down` would not find them."""
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx" / ".fedcart"
    copy.mkdir(parents=True)
    (link := tmp_path / "link").symlink_to(copy)
    for home in (copy, link):
        with pytest.raises(InputError, match="without --temp and --queue") as caught:
            planned(home, None)
        assert caught.value.code == "home-temporary"
    assert planned(tmp_path / ".dvc" / ".fedcart", None)
