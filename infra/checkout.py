"""The code that runs: the git checkout that fedcart is installed from, and its pins."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infra.file_hash import file_sha256

ROOT = Path(__file__).resolve().parent.parent
CODE = ("flows/", "tasks/", "fedmodels/", "validation/", "infra/", "constraints.txt", "pyproject.toml")
"""What of a checkout decides how a model comes out; the recipe stands in the run's plan."""


@dataclass(frozen=True)
class Checkout:
    """`commit` is empty outside of a git repository; `modified`: some of `CODE` differs from it."""

    commit: str
    modified: bool
    constraints_sha256: str | None


@cache
def running_checkout() -> Checkout:
    """The code that this process runs: what stood at `ROOT` when that was first asked here.

    A fork has the answer of the process that it is born from, which has imported the code already.
    """
    return read_checkout()


def read_checkout(root: Path = ROOT) -> Checkout:
    """What stands at `root`: its commit, whether its code was changed since, and the hash of its pins.

    A repository that git's library does not open, somebody else's or a partial clone say, tells no commit:
    nothing that computes is to end for that.
    """
    import pygit2

    pins = root / "constraints.txt"
    constraints = file_sha256(pins) if pins.is_file() else None
    unknown = Checkout("", modified=False, constraints_sha256=constraints)
    try:
        place = pygit2.discover_repository(str(root))
        if place is None:
            return unknown
        repository = pygit2.Repository(place)
        if repository.workdir is None or Path(repository.workdir).resolve() != root.resolve():
            return unknown
        if repository.head_is_unborn:
            return Checkout("", modified=True, constraints_sha256=constraints)
        changed = repository.status(untracked_files="all", ignored=False)
        commit = str(repository.head.target)
    except (pygit2.GitError, OSError, KeyError, ValueError):
        return unknown
    return Checkout(commit, any(name.startswith(CODE) for name in changed), constraints)
