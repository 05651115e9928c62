"""Writing a role's settings file, `fedcart.toml` in the role's folder; `infra/settings.py` reads it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from fedmodels.errors import InputError
from infra.file_lock import locked_file
from infra.locations import role_settings
from infra.private_files import write_private
from infra.settings_file import parsed_settings

LOCK_TIMEOUT_S = 30.0
"""Commands, and threads of one, note things in these files side by side, each within milliseconds."""


def update_role_settings(home: Path, role: str, changes: Mapping[str, Any]) -> bool:
    """Merge `changes` into the role's settings, deeply; say whether that changed the file.

    Comments and other keys stay as they are. A value of `None` removes its key.

    The file holds secrets: it is written whole, with mode 0600. Equal content is not written again.

    Raises:
        InputError: the standing file is not valid TOML in UTF-8, or its lock is held for `LOCK_TIMEOUT_S`.
    """
    path = role_settings(home, role)
    with locked_file(path.with_name(f".{path.name}.lock"), LOCK_TIMEOUT_S) as held:
        if not held:
            raise InputError(
                f"Another process has been writing the settings file of {role} for {LOCK_TIMEOUT_S:.0f} s",
                fix="wait for it, or stop it",
                code="settings-busy",
            )
        return _update(path, role, changes)


def _update(path: Path, role: str, changes: Mapping[str, Any]) -> bool:
    document = parsed_settings(path, role, tomlkit.parse) if path.exists() else tomlkit.document()
    before = tomlkit.dumps(document)
    _merge(document, changes)
    after = tomlkit.dumps(document)
    if after == before:
        return False
    write_private(path, after.encode())
    return True


def _merge(into: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            if not isinstance(into.get(key), Mapping):
                into[key] = tomlkit.table()
            _merge(into[key], value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = str(value) if isinstance(value, Path) else value
