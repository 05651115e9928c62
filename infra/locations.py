"""The shape of the home folder: what lies where below `.fedcart/`."""

from pathlib import Path

from fedmodels.errors import InputError


def expanded(path: str) -> Path:
    """A path that a person wrote, with `~` and `~user` as the home folder that they name.

    Raises:
        InputError: there is no such folder (`path-unusable`).
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{Path(path).parts[0]} names the home folder of no user of this machine",
            fix="write the path in full",
            code="path-unusable",
        ) from None


def coordinator_folder(home: Path) -> Path:
    """Everything of the coordinator's: settings, key, its own data sets."""
    return home / "coordinator"


def party_folder(home: Path, party: str) -> Path:
    """Everything of one party's; no process of another role opens a file below it."""
    return home / "parties" / party


def role_folder(home: Path, role: str) -> Path:
    """The folder of a role: the coordinator's, or a party's."""
    return coordinator_folder(home) if role == "coordinator" else party_folder(home, role)


def role_settings(home: Path, role: str) -> Path:
    """The role's settings file, which `FEDCART_CONFIG` names to its processes."""
    return role_folder(home, role) / "fedcart.toml"


def downloads_folder(home: Path) -> Path:
    """Packages and what was unpacked from them, by name and version."""
    return home / "downloads"


def runs_folder(home: Path) -> Path:
    """Kept models and reports, one folder a run."""
    return home / "runs"


def kept_model_folder(home: Path, run: str) -> Path:
    """The kept model of a run on the coordinator's machine, as `from_pretrained` loads it."""
    return runs_folder(home) / run / "model"


def logs_folder(home: Path) -> Path:
    """One log file a process of the local stack."""
    return home / "logs"


def stack_folder(home: Path) -> Path:
    """State of the local stack: ports, process ids, templates, the servers' own data."""
    return home / "stack"
