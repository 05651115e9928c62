"""Files that are written whole or not at all, and places that are refused before long work."""

import errno
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from infra.whole_files import check_file_target, check_place, write_whole


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
