"""Ids of parties and runs: checked once, where they enter; part of bucket keys afterwards."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints

from fedmodels.errors import InputError

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,30}$"
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


def new_run_id(name: str, now: datetime) -> str:
    """An id that says what and when: the beginning of `name`, and the second."""
    return f"{name[:15].rstrip('-')}-{now:%Y%m%d-%H%M%S}"
