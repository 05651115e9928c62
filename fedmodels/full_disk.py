"""A full disk, as one sentence, wherever a file is written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fedmodels.errors import InputError


def is_disk_full(error: OSError) -> bool:
    """Whether there was no room on the disk, or no quota of it left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_told(name: str) -> Iterator[None]:
    """Turn a full disk, met while the body writes, into one sentence.

    Args:
        name: of the file that is written, without its folder.

    Raises:
        InputError: the disk is full (`disk-full`).
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"The disk is full: {name} could not be written",
            fix="free some space and try again",
            code="disk-full",
        ) from None
