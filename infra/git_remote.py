"""The models repository that a URL names: fetched from and pushed to by git itself.

git's program, and not its library: it alone knows a user's ways to sign in (agents, helpers, proxies), and
pushes a branch with its tags all or none. Hooks and signing of the user's configuration are left out.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fedmodels.errors import IntegrityError, RunConflict, RunError

_TIMEOUT_S = 120.0
_KEPT_OUT = ("-c", "core.hooksPath=/dev/null", "-c", "push.gpgSign=false", "-c", "tag.gpgSign=false")
_OF_ANOTHER = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "NAMESPACE", "PREFIX"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES"),
    )
)
"""Variables by which git, in a hook say, speaks of the repository that it works in."""
_FETCHED = "refs/fedcart/fetched/"
_PUSHED = "refs/fedcart/pushed"


def own_environment() -> dict[str, str]:
    """This process's environment for a git that works where it is told, asks nobody, and speaks English."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
    return {**inherited, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def is_url(place: str) -> bool:
    """Whether a setting names a repository by a URL, `ssh://…` or `git@host:path` say, and not by a path."""
    return "://" in place or re.match(r"[\w.-]+@[\w.-]+:", place) is not None


@dataclass(frozen=True)
class GitRemote:
    """A repository elsewhere, and the folder of the mirror's git files here."""

    folder: Path
    url: str

    @property
    def pushed(self) -> str | None:
        """The branch's commit when it was pushed from here last."""
        done = self._git("rev-parse", "--verify", "--quiet", _PUSHED)
        return done.stdout.strip() or None

    def fetch(self, branch: str) -> str | None:
        """Fetch a branch, by its full name; return its commit, or `None` where there is no such branch.

        Raises:
            RunError: `models-remote`.
        """
        name = branch.removeprefix("refs/heads/")
        pattern = f"+{branch}*:{_FETCHED}{name}*"  # with a star, a branch that is not there is no error
        done = self._git("fetch", "--quiet", "--no-tags", "--prune", self.url, pattern)
        if done.returncode != 0:
            raise self._away("does not answer")
        return self._git("rev-parse", "--verify", "--quiet", f"{_FETCHED}{name}").stdout.strip() or None

    def push(self, names: list[str]) -> None:
        """Push references, a branch first, all or none; none is forced.

        Raises:
            RunError: `models-remote`.
            IntegrityError: `models-rewritten`: a tag is another there.
            RunConflict: `models-busy`: somebody else moved the branch.
        """
        specs = [f"{name}:{name}" for name in names]
        done = self._git("push", "--atomic", "--no-verify", "--porcelain", self.url, *specs)
        if done.returncode != 0:
            refused = [line for line in done.stdout.splitlines() if line.startswith("!")]
            if any("already exists" in line for line in refused):
                raise IntegrityError(
                    "The history of the models repository was rewritten: a tag of a release is another there",
                    fix="put its tags back, then run fedcart release sync",
                    code="models-rewritten",
                )
            if any("fetch first" in line or "non-fast-forward" in line for line in refused):
                raise RunConflict(
                    "Another machine has recorded a release in the models repository at the same moment",
                    fix="run fedcart release sync",
                    code="models-busy",
                )
            raise self._away("refuses what is pushed" if refused else "does not answer")
        self._git("update-ref", _PUSHED, names[0])

    def _away(self, how: str) -> RunError:
        shown = re.sub(r"//[^/@]*@", "//", self.url)  # a login in it is a secret
        return RunError(
            f"The models repository {shown} {how}",
            fix="see that it is there and may be pushed to, then run fedcart release sync",
            code="models-remote",
        )

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = ["git", f"--git-dir={self.folder}", *_KEPT_OUT, *words]
        try:
            return subprocess.run(
                program,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
                env=own_environment(),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # without a terminal, ssh asks nobody for a password
            )
        except (subprocess.TimeoutExpired, FileNotFoundError):
            raise self._away("cannot be asked: git is missing, or gave no answer in time") from None
