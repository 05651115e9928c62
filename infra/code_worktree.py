"""The code of an earlier commit, in a folder of its own beside the checkout that runs."""

import subprocess
from pathlib import Path

from fedmodels.errors import InputError
from infra.checkout import ROOT
from infra.git_remote import own_environment

_TIMEOUT_S = 120.0


def check_out_beside(commit: str, folder: Path, root: Path = ROOT) -> None:
    """Check a commit out into `folder` as a work tree of the repository at `root`, which stays as it is.

    A folder that is such a work tree already, with nothing changed, is left as it is.

    Args:
        commit: 40 hexadecimal digits.
        folder: is made; an empty one may be there.
        root: of the repository.

    Raises:
        InputError: `commit-missing`: the repository has no such commit, or there is none;
            `folder-taken`: the folder cannot be made, or holds something else;
            `git-missing`, `git-silent`.
    """
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode != 0:
        raise InputError(
            f"The git repository that fedcart is installed from has no commit {commit[:12]}",
            fix="fetch it with git fetch, then run the command again",
            code="commit-missing",
        )
    if _stands_in(folder) == commit and not _git(folder, "status", "--porcelain", "-uno").stdout:
        return
    _git(root, "worktree", "prune")  # what is noted of folders that somebody has removed
    done = _git(root, "worktree", "add", "--quiet", "--detach", str(folder.absolute()), commit)
    if done.returncode != 0:
        raise InputError(
            f"Commit {commit[:12]} cannot be checked out into {folder}: {_last_line(done.stderr)}",
            fix="name a folder that does not exist yet",
            code="folder-taken",
        )


def _stands_in(folder: Path) -> str | None:
    """The commit of the work tree whose top is `folder`, if it is one."""
    if not (folder / ".git").exists():
        return None
    return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip() or None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["git gave no reason"]
    return lines[-1].removeprefix("fatal: ")


def _git(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(place), "-c", "core.hooksPath=/dev/null", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            env=own_environment(),
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise InputError("git is not installed", fix="install it", code="git-missing") from None
    except subprocess.TimeoutExpired:
        raise InputError(
            f"git gave no answer within {_TIMEOUT_S:g} s",
            fix="see whether the disk answers, then run the command again",
            code="git-silent",
        ) from None
