import os
from pathlib import Path

import pytest

from infra.private_files import make_private, read_json, write_json, write_private


def test_only_the_owner_reads_it_from_the_first_byte_on(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "new" / "key.pem", b"secret")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"port": 1})
    with pytest.raises(TypeError):
        write_private(path, "not bytes")  # type: ignore[arg-type]
    assert read_json(path) == {"port": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff"])
def test_garbled_json_is_none(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text(content, encoding="latin-1")
    assert read_json(path) is None
    assert read_json(tmp_path / "gone.json") is None


def test_folders_become_private_below_a_place_and_that_place_stays(tmp_path, monkeypatch):
    inner = tmp_path / "home" / "shop" / "rows"
    inner.mkdir(parents=True)
    modes = [folder.stat().st_mode for folder in (tmp_path / "home", tmp_path)]
    monkeypatch.chdir(tmp_path)
    make_private(inner, Path("home"))
    assert {folder.stat().st_mode & 0o777 for folder in (inner, inner.parent)} == {0o700}
    assert [folder.stat().st_mode for folder in (tmp_path / "home", tmp_path)] == modes


def test_a_folder_that_is_not_below_the_place_changes_nothing(tmp_path):
    for name in ("home", "elsewhere"):
        (tmp_path / name).mkdir(mode=0o755)
    with pytest.raises(ValueError, match="elsewhere"):
        make_private(tmp_path / "elsewhere", tmp_path / "home")
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755
