"""The git repository that releases are recorded in: commits, tags and their order. No DVC, no bucket.

Commits are made of trees in memory, on a branch of their own, by a named identity: no working tree is read,
libgit2 runs no hook and signs nothing, and no filter of a user's configuration touches a byte. A branch moves
only from the commit that was read, so that of two writers one begins anew.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fedmodels.errors import InputError, IntegrityError, RunConflict
from infra.file_lock import locked_file
from infra.git_remote import GitRemote, is_url
from infra.models_branch import BRANCH, HEAD, KNOWN_FILE, Known, Rewritten, follow, target_of

if TYPE_CHECKING:
    import pygit2

AUTHOR = ("fedcart release", "release@fedcart.invalid")
LOCK_TIMEOUT_S = 60.0
_STALE_S = 60.0
_PLAIN = (0, 0o100644)
"""git's modes of no file, and of one that is neither a program nor a link."""


@dataclass(frozen=True)
class Change:
    """A commit of the branch, and the paths whose files it changed, added or took away."""

    commit: str
    paths: frozenset[str]
    parent: str | None = None
    """The commit before it; `None` of the first one."""
    merges: bool = False
    """Whether it has further parents, whose history nobody recorded here."""
    known: bool = False
    """Whether it was on the branch when that was found good last."""


@dataclass(frozen=True)
class ModelsRepository:
    """An open repository, whose lock is held."""

    git: "pygit2.Repository"
    own: bool
    """It was made by fedcart, in the coordinator's folder, and its working tree follows the branch."""
    known: Known
    remote: GitRemote | None = None

    @property
    def tip(self) -> str | None:
        """The branch's commit; `None` before the first one."""
        return target_of(self.git, HEAD)

    def changes(self) -> Iterator[Change]:
        """What each commit of the branch changed, oldest first, along first parents.

        Raises:
            IntegrityError: `models-rewritten`: one adds something else than plain files, a link say.
        """
        import pygit2

        if self.tip is None:
            return
        order = pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE
        walker = self.git.walk(pygit2.Oid(hex=self.tip), order)
        walker.simplify_first_parent()
        known = self.known.commit
        good = {each.id for each in self.git.walk(pygit2.Oid(hex=known))} if known else set()
        for commit in walker:
            parents = commit.parents
            # "old" is the commit's own side in both: libgit2 has no other order where there is no parent
            diff = commit.tree.diff_to_tree(parents[0].tree) if parents else commit.tree.diff_to_tree()
            if any(each.old_file.mode not in _PLAIN for each in diff.deltas):
                raise Rewritten(f"its commit {str(commit.id)[:12]} adds what is no plain file")
            paths = frozenset(file.path for each in diff.deltas for file in (each.old_file, each.new_file))
            yield Change(
                str(commit.id),
                paths,
                parent=str(parents[0].id) if parents else None,
                merges=len(parents) > 1,
                known=commit.id in good,
            )

    def pointers(self) -> frozenset[bytes]:
        """Every content that any file with the ending `.dvc` has in any commit of the branch."""
        import pygit2

        if self.tip is None:
            return frozenset()
        commits = self.git.walk(pygit2.Oid(hex=self.tip), pygit2.enums.SortMode.TOPOLOGICAL)
        found: dict[pygit2.Oid, bytes] = {}
        for commit in commits:
            index = pygit2.Index()
            index.read_tree(commit.tree)
            for each in index:
                if each.path.endswith(".dvc") and each.id not in found:
                    found[each.id] = cast("pygit2.Blob", self.git[each.id]).data
        return frozenset(found.values())

    def paths(self, commit: str) -> frozenset[str]:
        """Of all files of a commit."""
        return frozenset(each.path for each in self._index(commit))

    def files(self, commit: str, below: str = "") -> dict[str, bytes]:
        """Path to content of a commit's files whose path begins so."""
        return {
            each.path: cast("pygit2.Blob", self.git[each.id]).data
            for each in self._index(commit)
            if each.path.startswith(below)
        }

    def commit(self, files: Mapping[str, bytes | None], message: str, at: datetime) -> str:
        """Add a commit to the branch: the tree of the one before with these files; `None` takes one away.

        Raises:
            RunConflict: `models-busy`: another process has moved the branch.
        """
        import pygit2

        tip = self.tip
        index = pygit2.Index() if tip is None else self._index(tip)
        for path, data in files.items():
            if data is not None:
                entry = pygit2.IndexEntry(path, self.git.create_blob(data), pygit2.enums.FileMode.BLOB)
                index.add(entry)
            elif path in index:
                index.remove(path)
        who = _signature(at)
        parents = [] if tip is None else [pygit2.Oid(hex=tip)]
        try:
            made = self.git.create_commit(HEAD, who, who, message, index.write_tree(self.git), parents)
        except pygit2.GitError as error:
            if self.tip == tip:
                raise
            raise _busy() from error
        self.remember()
        return str(made)

    def tag(self, name: str, commit: str, message: str, at: datetime) -> bool:
        """Put an annotated tag once; say whether it was missing.

        Raises:
            IntegrityError: `models-rewritten`: it stands on another commit.
        """
        import pygit2

        standing = self.git.references.get(f"refs/tags/{name}")
        if standing is None:
            kind = pygit2.enums.ObjectType.COMMIT
            self.git.create_tag(name, pygit2.Oid(hex=commit), kind, _signature(at), message)
            return True
        if str(standing.peel(pygit2.Commit).id) != commit:
            raise Rewritten(f"the tag {name} is on another commit than its release")
        return False

    def remember(self) -> None:
        """Take the branch as it is for what is known."""
        if self.tip is not None:
            self.known.note(self.tip)

    def show(self) -> None:
        """Let the working tree of a repository of our own follow the branch."""
        import pygit2

        if self.own and self.tip is not None:
            strategy = pygit2.enums.CheckoutStrategy.FORCE
            self.git.checkout_head(strategy=strategy)  # type: ignore[no-untyped-call]  # pygit2's own

    def publish(self, tags: list[str]) -> None:
        """Push branch and tags, all or none, to the repository that the settings name by a URL.

        Raises:
            RunError: `models-remote`: it is away, or refuses.
            IntegrityError: `models-rewritten`: one of the tags is another there.
            RunConflict: `models-busy`: another one pushed at the same moment.
        """
        if self.remote is not None and self.tip is not None:
            self.remote.push([HEAD, *(f"refs/tags/{name}" for name in tags)])

    def _index(self, commit: str) -> "pygit2.Index":
        """The tree of a commit, in memory."""
        import pygit2

        index = pygit2.Index()
        index.read_tree(self.git[pygit2.Oid(hex=commit)].peel(pygit2.Tree))
        return index


@contextmanager
def open_models_repository(place: str | None, own: Path) -> Iterator[ModelsRepository]:
    """Open the repository, or make one of our own, for this process alone.

    Args:
        place: a path or URL that the settings name; `None`: one of our own.
        own: where that lies, or the mirror of one that a URL names.

    Raises:
        InputError: `models-missing`: at the path is no git repository.
        RunConflict: `models-dirty`, `models-branch`: it is not in a state to be committed to; `models-busy`.
        IntegrityError: `models-rewritten`; `models-damaged`: git cannot read it.
        RunError: `models-remote`: the URL does not answer.
    """
    import pygit2

    try:
        named = place is not None and not is_url(place)
        git = _named(Path(str(place)).expanduser()) if named else None
        lock = Path(git.path) / "fedcart.lock" if git else own.with_name(f".{own.name}.lock")
        with locked_file(lock, LOCK_TIMEOUT_S) as held:
            if not held:
                raise _busy()
            git = git or _own(own)
            _clear_locks(Path(git.path), age=_STALE_S if named else 0.0)
            if named:
                _check_free(git)
            remote = GitRemote(Path(git.path), place) if place is not None and not named else None
            known = Known(git, own / KNOWN_FILE if named else None)
            if remote is not None:
                follow(git, remote, known)
            known.check()
            repository = ModelsRepository(git, own=not named, known=known, remote=remote)
            yield repository
            repository.remember()  # only now: what the caller refused may be put back
            repository.show()
    except Rewritten as error:
        raise error.told(place) from None
    except (pygit2.GitError, OSError) as error:
        if "failed to lock" in str(error):
            raise _busy() from None
        raise IntegrityError(
            f"The models repository cannot be read or written ({error})",
            fix="see git fsck there, or move it away and run fedcart release sync, which makes it anew",
            code="models-damaged",
        ) from None


def recorded_tags(place: str | None, own: Path) -> frozenset[str]:
    """Tags of the repository, or of the mirror of one that a URL names; none where there is no such thing."""
    import pygit2

    named = place is not None and not is_url(place)
    try:
        found = pygit2.discover_repository(str(Path(str(place)).expanduser() if named else own / ".git"))
        names = pygit2.Repository(found).references if found else ()
    except pygit2.GitError:
        return frozenset()
    return frozenset(name.removeprefix("refs/tags/") for name in names if name.startswith("refs/tags/"))


def _busy() -> RunConflict:
    return RunConflict(
        "Another process is recording a release in the models repository",
        fix="run fedcart release sync when it is done",
        code="models-busy",
    )


def _own(folder: Path) -> "pygit2.Repository":
    import pygit2

    folder.parent.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git" / "HEAD").is_file():
        folder.mkdir(mode=0o700, exist_ok=True)
        made = pygit2.init_repository(str(folder), initial_head=BRANCH)
        made.config["core.autocrlf"] = False  # whatever the user's own says
    return pygit2.Repository(str(folder / ".git"))


def _named(folder: Path) -> "pygit2.Repository":
    import pygit2

    found = pygit2.discover_repository(str(folder)) if folder.is_dir() else None
    if found is None:
        raise InputError(
            f"models_repository names {folder}, where there is no git repository",
            fix="correct the setting, or run git init there",
            code="models-missing",
        )
    return pygit2.Repository(found)


def _clear_locks(folder: Path, age: float) -> None:
    """Remove what a kill in the middle of a write left of git's own locks; ours says that nobody writes now.

    In a repository of a user's, only what is old and of the kinds that are written here.
    """
    kinds = ("refs/heads/*.lock", "refs/tags/*.lock", "refs/fedcart/**/*.lock")
    for kind in kinds if age else (*kinds, "*.lock"):
        for left in folder.glob(kind):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime >= age:
                    left.unlink()


def _check_free(git: "pygit2.Repository") -> None:
    branch = git.branches.local.get(BRANCH)
    if branch is not None and branch.is_checked_out():
        raise RunConflict(
            f"The branch {BRANCH} of the models repository is checked out, and commits would move it",
            fix="check out another branch there",
            code="models-branch",
        )
    changed = [] if git.is_bare else sorted(git.status(untracked_files="normal", ignored=False))
    if changed:
        raise RunConflict(
            f"The models repository has {len(changed)} changes that are not committed ({changed[0]} is one)",
            fix="commit or stash them there, then run fedcart release sync",
            code="models-dirty",
        )


def _signature(at: datetime) -> "pygit2.Signature":
    import pygit2

    return pygit2.Signature(*AUTHOR, int(at.timestamp()), 0)
