"""A full disk is one sentence, met for real on the device that is always full."""

import errno
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from fedmodels.full_disk import full_disk_told, is_disk_full


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device():
    with (
        pytest.raises(InputError, match="The disk is full: model could not be written") as told,
        full_disk_told("model"),
        Path("/dev/full").open("wb") as file,
    ):
        file.write(b"bytes")
    assert told.value.code == "disk-full"
    assert told.value.__cause__ is None
    assert "/dev" not in str(told.value)


@pytest.mark.parametrize(("number", "full"), [("ENOSPC", True), ("EDQUOT", True), ("EIO", False)])
def test_no_room_and_no_quota_are_full(number, full):
    assert is_disk_full(OSError(getattr(errno, number), "")) is full


def test_other_faults_keep_their_name():
    with pytest.raises(OSError, match="input/output"), full_disk_told("model"):
        raise OSError(errno.EIO, "input/output")
