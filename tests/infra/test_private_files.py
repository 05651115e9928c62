import os

import pytest

from infra.private_files import read_json, write_json, write_private


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
