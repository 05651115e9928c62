"""Champions to record, and what somebody else does to the repository that they are recorded in."""

import subprocess
from datetime import UTC, datetime
from functools import partial

from infra.models_repository import open_models_repository
from tasks.release.promoting import promote
from tasks.release.reading import read_report
from tasks.release.requesting import open_release
from tasks.release.signing import document_release, sign_release
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import FinishedRun


def release(recorder, recipe, run: FinishedRun, *, documented=True) -> int:
    """A run's model becomes the champion of `recipe`; nothing is recorded yet."""
    request = open_release(
        run.store, recipe, run.run, run=run.run, round_number=1, model_sha256=run.head.best_model_sha256
    )
    reported(run.store, request)
    keys = recorder.key, recorder.model_key
    document = partial(document_release, run.store, *keys, recorder.folder) if documented else undocumented
    if documented:
        found = read_report(run.store, recipe, request.release)
        sign_release(run.store, recorder.model_key, found, recorder.folder)
    promote(run.store, recipe, request.release, "ann", document)
    return request.release


def git(folder, *words) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def foreign(recorder, files) -> None:
    """Commit as somebody else would, who knows nothing of what fedcart remembers."""
    known = git(recorder.own, "rev-parse", "refs/fedcart/known")
    with open_models_repository(None, recorder.own) as repository:
        repository.commit(files, "not of the bucket", datetime.now(UTC))
    git(recorder.own, "update-ref", "refs/fedcart/known", known)
