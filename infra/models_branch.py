"""The branch that releases are committed to: what was found good of it, and how a mirror follows it.

Whoever may push to a repository may push any reference of it, so that what was found good is remembered in
the coordinator's folder alone: in its own repository or mirror, or beside where that would be.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.errors import IntegrityError
from infra.git_remote import GitRemote, is_url
from infra.private_files import read_json, write_json

if TYPE_CHECKING:
    import pygit2

BRANCH = "fedcart-models"
"""Nobody else commits to it; a repository of a user's keeps its working branch."""
HEAD = f"refs/heads/{BRANCH}"
KNOWN_FILE = "known.json"
_KNOWN = "refs/fedcart/known"


class Rewritten(IntegrityError):
    """The repository says something else of a release than before, or than the bucket.

    Args:
        how: what it says, as a clause.
        first: what to look at before the branch is put back, as an imperative clause.
    """

    def __init__(self, how: str, first: str = "") -> None:
        self.first = first
        sentence = f"The history of the models repository was rewritten: {how}"
        super().__init__(sentence, fix=first, code="models-rewritten")

    def told(self, place: str | None) -> IntegrityError:
        """The same with what helps there: a path or URL, or `None` for the coordinator's own."""
        if place is None:
            anew = "move models-repository in the coordinator's folder away"
        elif is_url(place):
            anew = (
                "move models-repository in the coordinator's folder away (delete both there before, unless "
                "another machine has made it anew)"
            )
        else:
            anew = "delete both there, move models-repository in the coordinator's folder away"
        helps = (
            f"put its branch {BRANCH} and its tags back, or {anew} and run fedcart release sync, which makes "
            "it anew"
        )
        return IntegrityError(
            self.sentence, fix=f"{self.first}; else {helps}" if self.first else helps, code=self.code
        )


@dataclass(frozen=True)
class Known:
    """The branch's commit that was found good last: what does not descend from it was rewritten."""

    git: "pygit2.Repository"
    file: Path | None
    """Where it is remembered of a repository that a path names; `None`: in the repository, which is ours."""

    @property
    def commit(self) -> str | None:
        """Its hash; `None` where none is remembered."""
        if self.file is None:
            return target_of(self.git, _KNOWN)
        noted = read_json(self.file) or {}
        return str(noted["commit"]) if noted.get("repository") == self.git.path else None

    def note(self, commit: str | None) -> None:
        """Remember it, or forget it."""
        if self.file is None:
            _set(self.git, _KNOWN, commit)
        else:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_json(self.file, {"repository": self.git.path, "commit": commit})

    def check(self) -> None:
        """See that the branch still holds it.

        Raises:
            Rewritten: it does not, or is gone.
        """
        _refuse_lost(self.git, target_of(self.git, HEAD), self.commit)


def follow(git: "pygit2.Repository", remote: GitRemote, known: Known) -> None:
    """Take what another machine of the coordinator has pushed; what was not pushed from here is made anew.

    What was fetched before and never taken for known, a foreign commit say, goes.

    Raises:
        RunError: `models-remote`: the remote does not answer.
        Rewritten: it lacks what was pushed from here.
    """
    import pygit2

    there, good, pushed = remote.fetch(HEAD), known.commit, remote.pushed
    _refuse_lost(git, there, pushed)
    ours = there is None or _holds(git, good, there)  # all of it, and perhaps what was not pushed yet
    tip = good if ours else there
    _set(git, HEAD, tip)
    for name in [name for name in git.references if name.startswith("refs/tags/")]:
        if not _holds(git, tip, str(git.references[name].peel(pygit2.Commit).id)):
            git.references.delete(name)
    if not _holds(git, tip, good):
        known.note(pushed)  # another machine's came first


def target_of(git: "pygit2.Repository", name: str) -> str | None:
    """The commit of a reference; `None` where there is none of that name."""
    found = git.references.get(name)
    return None if found is None else str(found.target)


def _refuse_lost(git: "pygit2.Repository", tip: str | None, commit: str | None) -> None:
    if commit is None or _holds(git, tip, commit):
        return
    if tip is None:
        raise Rewritten(f"its branch {BRANCH} is gone")
    raise Rewritten(f"its branch {BRANCH} does not contain commit {commit[:12]} any more")


def _holds(git: "pygit2.Repository", tip: str | None, commit: str | None) -> bool:
    """Whether a commit is the last one of a branch, or one before it."""
    if tip is None or commit is None or commit not in git:
        return False
    return tip == commit or git.descendant_of(tip, commit)


def _set(git: "pygit2.Repository", name: str, commit: str | None) -> None:
    """Let a reference be a commit, or let there be none."""
    import pygit2

    if commit is not None:
        git.references.create(name, pygit2.Oid(hex=commit), force=True)
    elif name in git.references:
        git.references.delete(name)
