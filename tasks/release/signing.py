"""The signature of a release: made once its checks have passed, held against what is promoted. No Prefect.

What is signed is the folder that readers get, made of the bucket alone. So whoever promotes makes it again,
and finds out whether any byte of it is another now.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedmodels.errors import IntegrityError, RunConflict
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.releases import Champion, ReleaseReport, released
from infra.keys import ModelKey, PrivateKey
from infra.layout import architecture_key, model_key, release_key
from infra.model_signatures import sign_folder, signature_fault
from infra.object_store import ObjectStore
from tasks.model_folder import write_model_folder
from tasks.reading import read_plan
from tasks.release.lineage import find_lineage, note_spoilt, record_lineage
from tasks.release.reading import StandingReport, read_history, read_report

_PREFIX = "signing-"
_A_DAY_S = 86400.0
_OTHER = "restore it from a backup, or roll back to another release with --to"


def sign_release(store: ObjectStore, key: ModelKey, found: StandingReport, work: Path) -> None:
    """Sign the model of a release whose checks have passed; a signature that stands is left as it is.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's, for models.
        found: the report.
        work: a folder that only the coordinator reads.

    Raises:
        IntegrityError: `release-altered`: a blob of the model is missing or damaged.
        InputError: the disk is full.
    """
    place = signature_key(found.report)
    if store.exists(place):
        return
    with _made_folder(store, found.report, work) as folder:
        store.create(place, sign_folder(folder, key))


def verify_release(store: ObjectStore, key: ModelKey, found: StandingReport, work: Path) -> None:
    """Hold a release's signature against the folder that the bucket gives now, file by file.

    A signature that is none of it ends the release, which is noted: it can never be promoted. A blob that is
    damaged does not, since it can be restored.

    Raises:
        RunConflict: `release-unsigned`: there is no signature.
        IntegrityError: `release-altered`: the model, or the signature, is not what was signed.
        InputError: the disk is full.
    """
    report = found.report
    signature = store.read(signature_key(report))
    if signature is None:
        raise _unsigned(report)
    with _made_folder(store, report, work) as folder:
        fault = signature_fault(folder, signature, key.public)
    if fault:
        error = IntegrityError(
            f"Release {report.release} of {report.recipe} {fault}",
            fix="run fedcart release propose with its run, which makes a release of its own",
            code="release-altered",
        )
        note_spoilt(store, report, error)
        raise error


def document_release(
    store: ObjectStore, key: PrivateKey, model_key: ModelKey, work: Path, found: StandingReport
) -> Lineage:
    """Verify a release that is about to be promoted, and write its lineage record, which names the signature.

    One that became the champion before releases were signed, and so has neither, is signed now.

    Args:
        store: the bucket with the coordinator's credentials.
        key: the coordinator's, for messages.
        model_key: the coordinator's, for models.
        work: a folder that only the coordinator reads.
        found: the report and the word on it.

    Raises:
        RunConflict, IntegrityError, InputError: as `verify_release` and `record_lineage`.
    """
    if _is_of_before(store, found):
        sign_release(store, model_key, found, work)
    verify_release(store, model_key, found, work)
    return record_lineage(store, key, found)


def check_unaltered(store: ObjectStore, target: Champion, public: str | None) -> None:
    """See that a release that was the champion still is what was promoted: weights, tokenizer, signature.

    Its lineage record, which is signed as well, names the signature that was verified then. So nothing is
    made anew: another version of transformers would write other files, and a rollback cannot wait for that.
    A release of before there were signatures has none, and its weights alone are looked at.

    Args:
        store: the bucket with the coordinator's credentials.
        target: what is returned to.
        public: the coordinator's key for messages, base64; `None` where it is not known.

    Raises:
        RunConflict: `release-unsigned`: its signature is gone.
        IntegrityError: `release-altered`; or `lineage-invalid`.
    """
    name = f"release {target.release} of {target.recipe}"
    if not store.holds(model_key(target.model_sha256), target.model_sha256):
        raise _altered(f"The model {target.model_sha256[:12]} of {name} is not what its hash says")
    found = read_report(store, target.recipe, target.release)
    lineage = find_lineage(store, found, public)
    if lineage is None or lineage.signature_sha256 is None:
        return
    signature = store.read(signature_key(found.report))
    if signature is None:
        raise _unsigned(found.report, _OTHER)
    if sha256_hex(signature) != lineage.signature_sha256:
        raise _altered(f"The signature of {name} is not the one that was promoted")
    architecture = lineage.architecture_sha256
    if not store.holds(architecture_key(architecture), architecture):
        raise _altered(f"The architecture {architecture[:12]} of {name} is not what its hash says")


def signature_key(report: ReleaseReport) -> str:
    """Where the signature of a release stands."""
    return release_key(report.recipe, report.release, "signature")


def _is_of_before(store: ObjectStore, found: StandingReport) -> bool:
    """Whether a release was the champion when there were neither signatures nor lineage records."""
    report = found.report
    if any(
        store.exists(release_key(report.recipe, report.release, name)) for name in ("signature", "lineage")
    ):
        return False
    return released(read_history(store, report.recipe), report.release) is not None


@contextmanager
def _made_folder(store: ObjectStore, report: ReleaseReport, work: Path) -> Iterator[Path]:
    """The model's folder as readers get it, for as long as it is looked at."""
    work.mkdir(parents=True, exist_ok=True)
    for left in work.glob(f"{_PREFIX}*"):  # of a process that was killed; others may be signing now
        if time.time() - left.stat().st_mtime > _A_DAY_S:
            shutil.rmtree(left, ignore_errors=True)
    plan = read_plan(store, report.run)
    with tempfile.TemporaryDirectory(dir=work, prefix=_PREFIX) as place:
        try:
            folder = write_model_folder(store, plan, report.model_sha256, Path(place) / report.recipe)
        except IntegrityError as error:
            raise IntegrityError(error.sentence, fix=error.fix, code="release-altered") from None
        yield folder


def _unsigned(report: ReleaseReport, fix: str = "") -> RunConflict:
    return RunConflict(
        f"Release {report.release} of {report.recipe} is not signed",
        fix=fix or f"run fedcart release propose {report.run}, which signs it",
        code="release-unsigned",
    )


def _altered(what: str) -> IntegrityError:
    return IntegrityError(what, fix=_OTHER, code="release-altered")
