"""What `fedcart doctor` looks at besides the object store: versions, disk, GPU, keys."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from fedmodels.errors import FedcartError
from infra.keys import load_private_key, public_key, role_model_key
from infra.settings import Settings
from infra.store_checks import Finding

LEAST_FREE_GB = 3.5
"""What a run of `reviews` takes on one machine at its peak, and something to spare; as `tools/set_up.py`."""
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;+]+)")


def check_python() -> Finding:
    """The interpreter that everything is pinned for."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python 3.11", sys.version_info[:2] == (3, 11), version)


def check_versions(constraints: Path = CONSTRAINTS) -> Finding:
    """Installed packages against the constraints file; packages that are not installed do not count."""
    matches = map(_PIN.match, constraints.read_text().splitlines())
    pins = {match[1]: match[2] for match in matches if match}
    installed = {name: version for name in pins if (version := _version(name))}
    wrong = [
        f"{name} {version} instead of {pins[name]}"
        for name, version in installed.items()
        if version.partition("+")[0] != pins[name]
    ]
    detail = ", ".join(wrong) if wrong else f"{len(installed)} packages as pinned"
    return Finding("package versions", bool(installed) and not wrong, detail)


def check_disk(home: Path) -> Finding:
    """Free space where everything is written."""
    place = next(folder for folder in (home.resolve(), *home.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    return Finding(
        "free disk space", free >= LEAST_FREE_GB, f"{free:.1f} GB, at least {LEAST_FREE_GB:.1f} GB"
    )


def check_gpu() -> Finding:
    """Which GPU there is. None is no fault: training then runs on the processor."""
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", True, "none; training runs on the processor")
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return Finding("GPU", False, "there is one, but nvidia-smi does not answer")
    return Finding("GPU", True, "; ".join(line.strip() for line in said.splitlines() if line.strip()))


def check_key(settings: Settings) -> Finding:
    """The role's own signing key."""
    check = f"signing key of {settings.role}"
    if settings.signing_key is None:
        return Finding(check, False, "its settings name none; run fedcart up, which makes one")
    try:
        load_private_key(settings.signing_key)
    except FedcartError as error:
        return Finding(check, False, str(error))
    return Finding(check, True, "readable by its owner alone")


def check_model_key(coordinator: Settings) -> Finding:
    """The key with which the coordinator signs the models that it releases."""
    check = "key that signs models"
    try:
        role_model_key(coordinator.model_signing_key, coordinator.role)
    except FedcartError as error:
        return Finding(check, False, str(error))
    return Finding(check, True, "readable by its owner alone")


def check_party_keys(coordinator: Settings, parties: list[Settings]) -> Finding:
    """That the coordinator lists each party's present public key."""
    wrong = [
        party.role
        for party in parties
        if party.signing_key is None
        or coordinator.party_keys.get(party.role) != public_key(load_private_key(party.signing_key))
    ]
    detail = f"stale for {', '.join(wrong)}; run fedcart up" if wrong else f"{len(parties)} listed"
    return Finding("public keys at the coordinator", not wrong, detail)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
