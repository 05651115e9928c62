"""Arrays that can be computed again, in files by content: a damaged one counts as none."""

import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.parameters.stream import atomic_file

ENDING = ".arrays"
_DIGEST = hashlib.sha256().digest_size


def content_name(facts: str, texts: Sequence[str]) -> str:
    """File name of what is computed of some texts, in their order, and of the facts that decide the rest."""
    digest = hashlib.sha256(f"{facts}\n".encode())
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return f"{digest.hexdigest()}{ENDING}"


def read_arrays(path: Path, *names: str) -> tuple[NDArray[Any], ...] | None:
    """The named arrays of a file, in that order; `None` when it is not there, damaged, or has others.

    One that is read is touched, so that its age is how long nobody needed it.
    """
    try:
        with path.open("rb") as file:
            stated = file.read(_DIGEST)
            if hashlib.file_digest(file, "sha256").digest() != stated:
                return None
            file.seek(_DIGEST)
            with np.load(file, allow_pickle=False) as found:
                if not {*names} <= {*found.files}:
                    return None
                wanted = tuple(found[name] for name in names)
    except OSError:
        return None
    with suppress(OSError):  # it was removed a moment ago
        os.utime(path)
    return wanted


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a file, whole or not at all, into a folder that is made private if it is not there.

    It begins with the hash of the rest: numpy reads no further than an array's header says, damaged or not.

    Raises:
        InputError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = io.BytesIO()
    np.savez(written, **arrays)  # type: ignore[arg-type]
    with atomic_file(path) as target:
        target.write(hashlib.sha256(written.getbuffer()).digest())
        target.write(written.getbuffer())
