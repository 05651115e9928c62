"""The hash of a file is that of its bytes, however many they are."""

import hashlib

import pytest

from infra.file_hash import file_sha256

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", [1, 2**18, 2**18 + 1])
def test_equals_the_hash_of_the_bytes(tmp_path, size):
    path = tmp_path / "blob"
    path.write_bytes(b"\x07" * size)
    assert file_sha256(path) == hashlib.sha256(b"\x07" * size).hexdigest()


def test_an_empty_file(tmp_path):
    path = tmp_path / "blob"
    path.touch()
    assert file_sha256(path) == EMPTY


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "gone")
