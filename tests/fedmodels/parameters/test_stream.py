"""Streams are hashed on the way, in whatever pieces they come; files appear whole or not at all."""

import errno
import hashlib
import io
import os
import time

import pytest

from fedmodels.errors import RunError
from fedmodels.parameters.stream import HashingReader, atomic_file, read_fully


class Dribble:
    """A body that answers with one to three bytes at a time, as a slow network does."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.turn = 0

    def read(self, size: int, /) -> bytes:
        self.turn += 1
        return self.file.read(min(size, 1 + self.turn % 3))


@pytest.mark.parametrize("body", [io.BytesIO, Dribble])
def test_reads_are_full_until_the_end(body):
    reader = body(b"abcdefghij")
    assert [read_fully(reader, 4) for _ in range(4)] == [b"abcd", b"efgh", b"ij", b""]


@pytest.mark.parametrize("body", [io.BytesIO, Dribble])
def test_a_reader_counts_and_hashes_what_passes(body):
    reader = HashingReader(body(b"abcdefghij"))
    assert reader.read(3) + reader.read(100) == b"abcdefghij"
    assert reader.count == 10
    assert reader.sha256 == hashlib.sha256(b"abcdefghij").hexdigest()


def test_a_file_appears_at_the_end_with_its_hash(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    with atomic_file(path) as writer:
        writer.write(b"new ")
        writer.write(memoryview(b"model"))
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new model"
    assert (writer.count, writer.sha256) == (9, hashlib.sha256(b"new model").hexdigest())
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_one_file_at_once_do_not_meet(tmp_path):
    path = tmp_path / "model"
    with atomic_file(path) as first:
        first.write(b"one ")
        with atomic_file(path) as second:
            second.write(b"the other")
        assert path.read_bytes() == b"the other"
        first.write(b"whole")
    assert path.read_bytes() == b"one whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes_a_day_later(tmp_path):
    path, old, new = (tmp_path / name for name in ("a[b]", ".a[b].1.partial", ".a[b].2.partial"))
    for left, age in ((old, 90_000.0), (new, 60.0)):
        left.touch()
        os.utime(left, (time.time() - age,) * 2)
    with atomic_file(path):
        pass
    assert sorted(tmp_path.iterdir()) == sorted([path, new])


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_file(path) as writer:
            writer.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_plainly(tmp_path, number):
    with pytest.raises(RunError, match="The disk is full: model could not be written") as refusal:
        _write_and_raise(tmp_path / "model", OSError(number, "no room"))
    assert refusal.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_disk_keep_their_name(tmp_path):
    with pytest.raises(OSError, match="input/output"):
        _write_and_raise(tmp_path / "model", OSError(errno.EIO, "input/output"))


def _write_and_raise(path, error):
    with atomic_file(path) as writer:
        writer.write(b"half")
        raise error
