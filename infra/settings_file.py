"""Reading a role's `fedcart.toml`, by whichever library parses it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tomlkit.exceptions import TOMLKitError

from fedmodels.errors import InputError

Document = TypeVar("Document")


def parsed_settings(path: Path, role: str, parse: Callable[[str], Document]) -> Document:
    """What `parse` makes of the file's text.

    Raises:
        InputError: the file is not valid TOML in UTF-8; names the role and nothing of the content.
        OSError: it cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (
        ValueError,
        TOMLKitError,
        RecursionError,
    ):  # ValueError: tomllib's, and of the encoding
        raise InputError(
            f"The settings file of {role} is not valid TOML in UTF-8",
            fix="correct its syntax",
            code="settings-invalid",
        ) from None
