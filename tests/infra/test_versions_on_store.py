"""A party's versions at the remote that it has without any setting: its own prefix of the real store."""

from functools import partial
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from fedmodels.errors import StoreRefused
from flows.data_versions import check_out_version, pin_party, versions_of
from infra.local import stack
from infra.role_settings import update_role_settings
from infra.settings import DataVersions, Settings, Tables, load_role_settings
from infra.stores import store_from_settings
from infra.versioning.remote import remote_of
from tasks.party.versions.bringing_back import check_out
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.pinning import pin_tables
from tests.store_alone import store_alone

RECIPE = SimpleNamespace(name="mine", data=SimpleNamespace(text="text", label="label"))


@pytest.fixture
def settings(store_running):
    return load_role_settings(store_running.home, "shop-a")


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"row {n},{n % 2}\n" for n in range(20)))
    return Tables(train=tmp_path / "train.csv")


def desk_of(tmp_path, settings, **changes):
    return VersionDesk("shop-a", tmp_path / "own", remote_of(settings.model_copy(update=changes), "shop-a"))


def test_what_a_party_pushes_comes_back_and_nobody_else_sees_it(store_running, settings, tables, tmp_path):
    desk = desk_of(tmp_path, settings)
    pinned = pin_tables(desk, RECIPE, tables)
    assert (pinned.pushed, pinned.push_error) == (1, None)
    md5 = pinned.version.tables["train"].md5
    own = store_from_settings(settings)
    (key,) = own.list_keys("own/shop-a/")
    assert key == f"own/shop-a/dvc/files/md5/{md5[:2]}/{md5[2:]}"
    assert own.read(key) == tables.train.read_bytes()
    for role in ("coordinator", "shop-b"):
        other = store_from_settings(load_role_settings(store_running.home, role))
        for attempt in (partial(other.read, key), partial(other.exists, key)):
            with pytest.raises(StoreRefused):
                attempt()
        with pytest.raises(StoreRefused):
            list(other.list_keys("own/shop-a/"))
    for path in (desk.root / ".dvc" / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    check_out(desk, "mine", "1", tmp_path / "out", tables)
    assert (tmp_path / "out" / "train.csv").read_bytes() == tables.train.read_bytes()


def test_a_stack_that_is_down_lends_its_store_for_a_pin(tables, tmp_path):
    with store_alone(tmp_path / "home", ("shop-a", "shop-b")) as home:
        update_role_settings(home, "shop-a", {"tables": {"mine": {"train": str(tables.train)}}})
    assert not stack.living_parts(home)
    recipe = SimpleNamespace(**vars(RECIPE), parties=("shop-a", "shop-b"))
    machine = Settings(home=home)
    pinned = pin_party(recipe, "shop-a", machine)
    assert (pinned.version.rows, pinned.pushed, pinned.push_error) == (20, 1, None)
    (listed,) = versions_of(recipe, "shop-a", machine)
    assert (listed.version, listed.pushed) == (pinned.version, True)
    check_out_version(recipe, "shop-a", machine, "1", tmp_path / "out")
    assert (tmp_path / "out" / "train.csv").read_bytes() == tables.train.read_bytes()
    assert not stack.living_parts(home)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"s3_secret_access_key": SecretStr("wrong")}, "remote-refused"),
        ({"bucket": "another"}, "remote-refused"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "remote-unreachable"),
        ({"versions": DataVersions(remote="s3://fedcart/own/shop-b/dvc")}, "remote-refused"),
    ],
)
def test_a_remote_that_refuses_or_is_gone_keeps_nobody_from_pinning(
    settings, tables, tmp_path, changes, code
):
    if "versions" in changes:
        options = {name: SecretStr(value) for name, value in remote_of(settings, "shop-a").options.items()}
        changes = {"versions": changes["versions"].model_copy(update={"options": options})}
    tables.train.write_text(f"text,label\n{code},0\n{sorted(changes)},1\n")
    pinned = pin_tables(desk_of(tmp_path, settings, **changes), RECIPE, tables)
    assert (pinned.made, pinned.pushed, pinned.push_error.code) == (True, 0, code)
    for secret in ("127.0.0.1", "fedcart-shop-a", "wrong", str(tmp_path)):
        assert secret not in str(pinned.push_error)
    again = pin_tables(desk_of(tmp_path, settings), RECIPE, tables)
    assert (again.made, again.pushed, again.push_error) == (False, 1, None)
