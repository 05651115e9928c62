"""Files that are written whole or not at all, and places that are refused before long work."""

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from fedmodels.errors import InputError
from infra.whole_files import (
    check_file_target,
    check_place,
    parts_left,
    remove_folder,
    whole_folder,
    write_whole,
)


def test_a_file_is_replaced_with_its_line_ends_and_others_may_read_it(tmp_path):
    path = tmp_path / "new" / "report.json"
    write_whole(path, "old")
    write_whole(path, "a\r\nb\n")
    assert path.read_bytes() == b"a\r\nb\n"
    beside = path.with_name("beside")
    beside.touch()
    assert path.stat().st_mode == beside.stat().st_mode
    beside.unlink()
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_breaks_off_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_whole(path, "whole")

    def half(part, _text, **_how):
        part.write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "no room", str(part))

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(InputError, match=r"The disk is full: report\.json"):
        write_whole(path, "longer")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_place_that_will_not_do_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for check, path in (
        (check_file_target, tmp_path),
        (check_file_target, file / "report.json"),
        (check_place, file / "deep" / "model"),
    ):
        with pytest.raises(InputError, match=str(path)) as caught:
            check(path)
        assert caught.value.code == "target-unusable"
    check_file_target(file)
    check_file_target(tmp_path / "new.json")


def test_a_folder_is_not_made_for_a_file_that_a_person_names(tmp_path, monkeypatch):
    with pytest.raises(InputError) as caught:
        check_file_target(tmp_path / "repots" / "run.json")
    assert str(caught.value) == (
        f"{tmp_path}/repots/run.json cannot be written: there is no folder {tmp_path}/repots; "
        "make it, or choose another place."
    )
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir(tmp_path)
    check_file_target(Path("run.json"))


def test_a_folder_without_the_right_to_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda _path, _mode: False)  # a test may run as root, who may do all
    with pytest.raises(InputError, match=f"permission denied in {tmp_path}"):
        check_place(tmp_path / "report.json")


def fill(folder: Path, content: str) -> None:
    with whole_folder(folder) as part:
        (part / "config").write_text(content)
        (part / "model").write_text(content)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_takes_the_place_of_what_stood_there(tmp_path):
    folder = tmp_path / "new" / "model"
    fill(folder, "old")
    (folder / "left-over").touch()
    with whole_folder(folder) as part:
        (part / "model").write_text("new")
        assert contents(folder) == {"config": "old", "model": "old", "left-over": ""}
    assert contents(folder) == {"model": "new"}
    assert list(folder.parent.iterdir()) == [folder]


def test_the_same_folder_stays_for_whoever_reads_it(tmp_path):
    folder = tmp_path / "model"
    fill(folder, "same")
    before = folder.stat().st_ino
    fill(folder, "same")
    assert folder.stat().st_ino == before
    fill(folder, "more")
    assert folder.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [folder]


def test_several_that_make_one_folder_at_once_all_come_to_an_end(tmp_path):
    """All have filled theirs before the first of them takes the name."""
    folder, filled = tmp_path / "model", Barrier(8)

    def make(number: int) -> None:
        with whole_folder(folder) as part:
            (part / "model").write_text(f"{number}")
            filled.wait(30)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(8)))
    assert contents(folder)["model"] in set("01234567")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_on_a_full_disk_leaves_the_old_one_and_no_litter(tmp_path):
    folder = tmp_path / "model"
    fill(folder, "old")

    def half() -> None:
        with whole_folder(folder) as part:
            (part / "model").write_text("ha")
            raise OSError(errno.ENOSPC, "no room", str(part))

    with pytest.raises(InputError, match="The disk is full: model could not be written") as caught:
        half()
    assert caught.value.code == "disk-full"
    assert contents(folder) == {"config": "old", "model": "old"}
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_killed_process_left_beside_a_folder_goes_a_day_later(tmp_path):
    folder = tmp_path / "a[b]"
    old, new = (tmp_path / f".a[b].{number}.part" for number in (1, 2))
    for left, age in ((old, 90_000.0), (new, 60.0)):
        fill(left, "half")
        os.utime(left, (time.time() - age,) * 2)
    fill(folder, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([folder, new])


def test_a_link_to_a_folder_stays_one(tmp_path):
    link, folder = tmp_path / "latest", tmp_path / "model"
    fill(folder, "old")
    link.symlink_to(folder)
    fill(link, "new")
    assert link.is_symlink()
    assert contents(folder)["model"] == "new"


def test_a_folder_is_removed_whole_also_after_a_kill(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    fill(folder, "old")
    removed = shutil.rmtree

    def killed(path, **_how):
        (path / "config").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("infra.whole_files.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(folder)
    assert shutil.rmtree is removed
    assert not folder.exists(), "nobody takes half of it for the folder"
    (half,) = tmp_path.iterdir()
    assert parts_left(folder) == [], "somebody may be making it"
    long_ago = time.time() - 90_000
    os.utime(half, (long_ago, long_ago))
    assert parts_left(folder) == [half]
    remove_folder(folder)
    assert list(tmp_path.iterdir()) == []
