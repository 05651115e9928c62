"""A history of small text files: a git repository that one automation writes.

libgit2 runs no hook, signs nothing and asks for no editor; author, branch and contents are given, so that
nothing of the user's own git configuration comes into a commit.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.errors import IntegrityError
from infra.private_files import write_private

if TYPE_CHECKING:
    import pygit2

BRANCH = "refs/heads/main"
AUTHOR = "fedcart data pin"
_EMAIL = "data-pin@fedcart.invalid"
_PART = ".git-"
_OF_GIT = frozenset({"HEAD", "config", "description", "hooks", "index", "info", "objects", "refs"})
"""What git makes before the first commit."""


class History:
    """The git repository at `root`, which is made when there is none.

    Raises:
        IntegrityError: git's files there are damaged (`history-damaged`); from every method.
    """

    def __init__(self, root: Path) -> None:
        import pygit2

        self._root = root
        with _told():
            if not is_begun(root):
                _begin(root)
            self._git = pygit2.Repository(str(root / ".git"))

    @property
    def head(self) -> str | None:
        """The newest commit; `None` before the first."""
        with _told():
            return str(self._git.references[BRANCH].target) if BRANCH in self._git.references else None

    def holds(self, commit: str) -> bool:
        """Whether the history that stands still has this commit of it."""
        head = self.head
        with _told():
            if head is None or commit not in self._git:
                return False
            return head == commit or bool(self._git.descendant_of(head, commit))

    def folder(self, name: str) -> dict[str, bytes]:
        """The files of one folder as they were committed last, by name."""
        head = self.head
        with _told():
            if head is None or name not in self._git[head].peel(1).tree:  # type: ignore[call-overload]
                return {}
            tree = self._git[head].peel(1).tree[name]  # type: ignore[call-overload]
            return {str(entry.name): bytes(entry.data) for entry in tree if entry.type_str == "blob"}

    def commit(self, files: Mapping[str, bytes | None], message: str, when: datetime) -> str:
        """Commit these files over what stands, and write them into the working folder; return the commit.

        Args:
            files: path below the root to content; `None` takes a file away.
            message: one line.
            when: with a time zone.
        """
        import pygit2

        with _told():
            head = self.head
            index = pygit2.Index()
            if head is not None:
                index.read_tree(self._git[head].peel(pygit2.Tree))
            for path, content in files.items():
                if content is not None:
                    blob = self._git.create_blob(content)
                    index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
                elif path in index:
                    index.remove(path)
            tree = index.write_tree(self._git)
            who = pygit2.Signature(AUTHOR, _EMAIL, int(when.timestamp()), 0)
            made = self._git.create_commit(BRANCH, who, who, message, tree, [head] if head else [])
            self._git.set_head(BRANCH)
            self._show(files, tree)
        return str(made)

    def _show(self, files: Mapping[str, bytes | None], tree: "pygit2.Oid") -> None:
        """Bring working folder and index to what was committed, for whoever looks with git or dvc."""
        for path, content in files.items():
            if content is None:
                (self._root / path).unlink(missing_ok=True)
            else:
                write_private(self._root / path, content)
        self._git.index.read_tree(self._git[tree])
        self._git.index.write()


def is_begun(root: Path) -> bool:
    """Whether `root` has a history, damaged or not: an object, or a name for one.

    A git that was killed inside its `init` leaves a folder with neither.
    """
    git = root / ".git"
    kept = (path for name in ("objects", "refs") for path in (git / name).rglob("*"))
    return (git / "packed-refs").exists() or any(path.is_file() for path in kept)


def _begin(root: Path) -> None:
    """Make the repository beside its place, and then put it there whole."""
    import pygit2

    names = {path.name.removesuffix(".lock") for path in (root / ".git").glob("*")}
    if names - _OF_GIT:
        raise _damaged()  # somebody put something there, what is left of a history say
    for left in root.glob(f"{_PART}*"):
        shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=root))
    git = pygit2.init_repository(str(part), initial_head="main")
    git.config["core.autocrlf"] = "false"
    git.config["user.name"] = AUTHOR
    git.config["user.email"] = _EMAIL
    git.free()
    shutil.rmtree(root / ".git", ignore_errors=True)
    (part / ".git").rename(root / ".git")
    part.rmdir()


@contextmanager
def _told() -> Iterator[None]:
    import pygit2

    try:
        yield
    except (pygit2.GitError, KeyError, ValueError):
        raise _damaged() from None


def _damaged() -> IntegrityError:
    return IntegrityError(
        "The history of the party's data versions is damaged",
        fix="restore the folder versions from a backup, or move it aside to begin anew",
        code="history-damaged",
    )
