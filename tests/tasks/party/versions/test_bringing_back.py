"""An old version comes back whole, from cache or remote, and never over anything."""

import shutil

import pytest
from dvc.repo import Repo

from fedmodels.errors import FedcartError
from tasks.party.versions.bringing_back import check_out, list_versions


@pytest.fixture
def pinned(shop):
    """Two versions; the tables of the first, by name."""
    first = {name: (shop.place / f"{name}.csv").read_text() for name in ("train", "holdout")}
    shop.pin()
    shop.write("train", 30)
    shop.pin()
    return first


def out_of(shop, wanted="1", out=None):
    return check_out(shop.desk, "mine", wanted, out or shop.place / "out", shop.tables)


def refused(shop, code, **options):
    with pytest.raises(FedcartError) as caught:
        out_of(shop, **options)
    assert caught.value.code == code
    return str(caught.value)


def written(shop):
    return {path.stem: path.read_text() for path in (shop.place / "out").iterdir()}


def test_by_number_and_by_hash(shop, pinned):
    live = (shop.place / "train.csv").read_text()
    version = out_of(shop)
    assert written(shop) == pinned
    assert (shop.place / "train.csv").read_text() == live
    assert (shop.place / "out").stat().st_mode & 0o777 == 0o700
    (shop.place / "out" / "train.csv").write_text("changed")  # a copy of its own
    again = out_of(shop, version.keyed_hash[:8], shop.place / "again")
    assert again == version
    assert (shop.place / "again" / "train.csv").read_text() == pinned["train"]


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_what_the_cache_lost_comes_from_the_remote(shop, pinned, damage):
    for path in shop.cached:
        path.chmod(0o600)
        path.unlink() if damage == "gone" else path.write_bytes(b"damaged")
        if damage == "changed":
            path.chmod(0o444)
    out_of(shop)
    assert written(shop) == pinned


@pytest.mark.parametrize("there", ["nothing", "damaged"])
def test_what_nobody_has_whole_is_not_brought_back_in_part(shop, pinned, there):
    shutil.rmtree(shop.desk.root / ".dvc" / "cache")
    for path in [path for path in shop.remote.rglob("*") if path.is_file()]:
        path.chmod(0o600)
        path.unlink() if there == "nothing" else path.write_bytes(b"damaged")
    assert str(shop.place) not in refused(shop, "version-damaged")
    assert not (shop.place / "out").exists()
    assert not [path for path in shop.place.iterdir() if path.name.startswith(".out")]


def test_a_remote_that_is_away_matters_only_where_the_cache_is_not_whole(shop, pinned):
    shutil.rmtree(shop.remote)
    shop.remote.write_text("no folder")
    out_of(shop)
    assert written(shop) == pinned
    shutil.rmtree(shop.desk.root / ".dvc" / "cache")
    with pytest.raises(FedcartError) as caught:
        out_of(shop, out=shop.place / "again")
    assert caught.value.code in ("remote-unreachable", "version-damaged")
    assert not (shop.place / "again").exists()


@pytest.mark.parametrize("wanted", ["3", "0", "-1", "latest", "", "fffffffffff", "1.0", "99999999"])
def test_a_version_that_does_not_exist(shop, pinned, wanted):
    assert "there are 1 to 2" in refused(shop, "version-unknown", wanted=wanted)


def test_where_nothing_was_ever_pinned(shop):
    assert "there are none" in refused(shop, "version-unknown")
    assert not shop.desk.root.exists()


def test_nothing_that_lies_there_is_written_over(shop, pinned):
    assert "that the party trains on" in refused(shop, "folder-taken", out=shop.place)
    taken = shop.place / "taken"
    taken.mkdir()
    out_of(shop, out=taken)  # an empty folder will do
    assert "something already" in refused(shop, "folder-taken", out=taken)
    (shop.place / "link").symlink_to(shop.place / "nowhere")
    refused(shop, "folder-taken", out=shop.place / "link")
    refused(shop, "target-unusable", out=shop.place / "train.csv" / "below")


@pytest.mark.usefixtures("pinned")
def test_dvc_gc_lets_go_of_all_contents_but_the_newest_and_of_no_history(shop):
    """What docs/releases.md says of rows that were withdrawn."""
    with Repo(str(shop.desk.root)) as repo:
        repo.gc(workspace=True, cloud=True)
    assert [each.version.number for each in list_versions(shop.desk, "mine")] == [1, 2]
    assert out_of(shop, "2").number == 2
    refused(shop, "version-damaged", out=shop.place / "old")
    shop.write("train", 40)
    assert shop.pin().push_error is None
