"""Ids of parties and runs, part of bucket keys, and names of columns: checked once, where they enter."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from fedmodels.errors import InputError

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,30}$"
PRINTABLE_PATTERN = r"^[^\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]{1,64}$"
PrintableName = Annotated[str, StringConstraints(pattern=PRINTABLE_PATTERN)]
"""Somebody's name for a column, in any script and with any punctuation, on one line: no control character,
and none that turns or hides what stands beside it. It is no key, and is escaped where it is shown.

The pattern is in the syntax of pydantic's own engine, which `re` does not know.
"""
_printable = TypeAdapter(PrintableName)
COORDINATOR = "coordinator"
"""The role that is no party, and so the id that no party may have."""
Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


def check_identifier(kind: str, value: str) -> str:
    """Return `value` when it is a valid id.

    Raises:
        InputError: `value` is not 1 to 31 lower-case letters, digits or hyphens.
    """
    if re.fullmatch(ID_PATTERN[1:-1], value):
        return value
    raise InputError(
        f"The {kind} {value!r} is not an id of 1 to 31 lower-case letters, digits or hyphens",
        fix="choose another name",
        code="id-invalid",
    )


def is_printable_name(value: str) -> bool:
    """Whether `value` is a `PrintableName`."""
    try:
        _printable.validate_python(value)
    except ValidationError:
        return False
    return True


def new_run_id(name: str, now: datetime) -> str:
    """An id that says what and when: the beginning of `name`, and the second."""
    return f"{name[:15].rstrip('-')}-{now:%Y%m%d-%H%M%S}"
