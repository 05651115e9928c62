"""What a command says of an exception that nobody foresaw: one sentence, and where its stack trace lies."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from fedmodels.errors import RunError
from infra.locations import logs_folder

UNFORESEEN = 70
"""Exit status: a fault of the software's own, by the convention of `sysexits.h`."""
LOG = "internal-errors.log"


def unforeseen(error: Exception) -> tuple[RunError, str]:
    """The sentence for `error`, and its stack trace where that could not be written to a file.

    The trace goes to the end of `LOG`, below the home folder where there is one: only its owner may read
    it, for an exception's own words may hold rows or keys. So they are not in the sentence.
    """
    trace = "".join(traceback.format_exception(error))
    where = f" in {traceback.extract_tb(error.__traceback__)[-1].name}" if error.__traceback__ else ""
    sentence = f"fedcart met a fault of its own, {type(error).__name__}{where}"
    try:
        path = _kept(_folder(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {_version()}\n{trace}\n")
    except OSError:
        return RunError(sentence, fix="please report it with the trace above", code="internal"), trace
    return RunError(sentence, fix=f"please report it with the trace in {path}", code="internal"), ""


def _folder() -> Path:
    """The logs of the home folder, or a temporary folder where there is none.

    Settings are not read for it: that may be what failed.
    """
    from infra.settings import PREFIX, Settings

    home = Path(os.environ.get(f"{PREFIX}HOME") or Settings.model_fields["home"].default).resolve()
    return logs_folder(home) if home.is_dir() else Path(tempfile.mkdtemp(prefix="fedcart-"))


def _kept(folder: Path, entry: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(entry)
    return path


def _version() -> str:
    return f"fedcart {metadata.version('fedcart')}, Python {sys.version.split()[0]}"
