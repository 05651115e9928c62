"""Which bucket a stack has, and what is said when it is to have another one."""

from pathlib import Path

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
