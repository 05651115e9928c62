"""Signed releases in the real store: what is promoted is what was signed, and what is returned to, too."""

import functools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fedmodels.errors import FedcartError, InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from infra.keys import ensure_model_key, load_model_key, load_private_key, public_key
from infra.layout import architecture_key, model_key, plan_key, release_key
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks.release import signing
from tasks.release.desk import ReleaseDesk
from tasks.release.lineage import read_lineage, record_lineage
from tasks.release.promoting import promote, rollback
from tasks.release.reading import read_champion, read_history, read_release, read_report
from tasks.release.requesting import open_release
from tasks.release.signing import document_release, sign_release, verify_release
from tests.store_alone import store_of
from tests.tasks.release.folders import small_folders
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun


class Desk:
    """The coordinator's keys, and what it does with the releases of one recipe."""

    def __init__(self, home, recipe, work) -> None:
        settings = load_role_settings(home, "coordinator")
        self.recipe, self.work = recipe, work
        self.store = store_of(home, "coordinator")
        self.key = load_private_key(settings.signing_key)
        self.model_key = load_model_key(settings.model_signing_key)

    def propose(self, run: FinishedRun, **facts) -> int:
        best = run.head.best_model_sha256
        request = open_release(
            self.store, self.recipe, run.run, run=run.run, round_number=1, model_sha256=best
        )
        reported(self.store, request, **facts)
        return request.release

    def found(self, release: int):
        return read_report(self.store, self.recipe, release)

    def sign(self, release: int) -> None:
        sign_release(self.store, self.model_key, self.found(release), self.work)

    def sign_and_promote(self, release: int):
        self.sign(release)
        return self.promote(release)

    def promote(self, release: int):
        document = partial(document_release, self.store, self.key, self.model_key, self.work)
        return promote(self.store, self.recipe, release, "ann", document)

    def rollback(self, **given):
        return rollback(self.store, self.recipe, "ann", public=public_key(self.key), **given)

    def lineage(self, release: int):
        return read_lineage(self.store, self.found(release), public_key(self.key))

    def place(self, release: int, message: str = "signature") -> str:
        return release_key(self.recipe, release, message)


@pytest.fixture
def desk(home, opened, tmp_path, monkeypatch) -> Desk:
    small_folders(monkeypatch)
    return Desk(home, f"tiny-{opened.run}", tmp_path / "coordinator")


@pytest.fixture
def runs(home, opened):
    """Runs of one round, each with a model of its own."""

    def another(number: int) -> FinishedRun:
        run = FinishedRun(home, f"{opened.run}-{number}", seed=1000 * number + opened.seed)
        run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
        run.close()
        return run

    return functools.partial(map, another)


@pytest.fixture
def released(desk, runs) -> list[FinishedRun]:
    """Two releases, the second of which is the champion."""
    made = list(runs((1, 2)))
    for run in made:
        number = desk.propose(run)
        desk.sign_and_promote(number)
    return made


def code_of(kind: type[FedcartError], call, *arguments, **named) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return caught.value.code


def test_a_release_is_signed_once_and_its_lineage_record_names_the_signature(desk, runs):
    (run,) = runs((1,))
    number = desk.propose(run)
    desk.sign(number)
    stored = desk.store.read(desk.place(number))
    desk.sign(number)
    assert desk.store.read(desk.place(number)) == stored
    assert desk.promote(number).release == number
    assert desk.lineage(number).signature_sha256 == sha256_hex(stored)
    assert not list(desk.work.iterdir()), "nothing stays on the disk"


def test_an_unsigned_release_promotes_nothing_until_it_is_signed(desk, runs):
    (run,) = runs((1,))
    number = desk.propose(run)
    with pytest.raises(RunConflict, match=f"run fedcart release propose {run.run}, which signs it") as caught:
        desk.promote(number)
    assert caught.value.code == "release-unsigned"
    assert read_champion(desk.store, desk.recipe) is None
    assert not desk.store.exists(desk.place(number, "lineage"))
    desk.sign(number)
    assert desk.promote(number).release == number


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (b"", "has a signature that cannot be read"),
        (b"no bundle", "has a signature that cannot be read"),
        ("of another key", "is signed with another key than the coordinator's"),
        ("of another model", "is not as it was signed: model.safetensors has changed"),
    ],
)
def test_an_altered_signature_ends_its_release_and_the_next_proposal_is_signed_anew(
    desk, runs, tmp_path, left, told
):
    run, other = runs((1, 2))
    number = desk.propose(run)
    if left == "of another key":
        sign_release(desk.store, ensure_model_key(tmp_path / "other.pem"), desk.found(number), desk.work)
    elif left == "of another model":
        elsewhere = desk.propose(other)
        desk.sign(elsewhere)
        desk.store.put_blob(desk.place(number), desk.store.read(desk.place(elsewhere)))
    else:
        desk.sign(number)
        desk.store.put_blob(desk.place(number), left)
    with pytest.raises(IntegrityError, match=f"Release {number} of {desk.recipe} {told}") as caught:
        desk.promote(number)
    assert caught.value.code == "release-altered"
    assert read_champion(desk.store, desk.recipe) is None
    view = read_release(desk.store, desk.recipe, number)
    assert (view.standing, view.refusal.code) == ("cannot be promoted", "release-altered")
    again = open_release(
        desk.store, desk.recipe, "anew", run=run.run, round_number=1, model_sha256=run.head.best_model_sha256
    )
    reported(desk.store, again)
    assert again.release > number
    desk.sign(again.release)
    assert desk.promote(again.release).release == again.release


def test_a_damaged_model_is_refused_and_promoted_once_it_is_restored(desk, runs):
    (run,) = runs((1,))
    number, place = desk.propose(run), model_key(run.head.best_model_sha256)
    desk.sign(number)
    weights = desk.store.read(place)
    desk.store.put_blob(place, b"other weights")
    assert code_of(IntegrityError, desk.promote, number) == "release-altered"
    assert read_champion(desk.store, desk.recipe) is None
    desk.store.put_blob(place, weights)
    assert desk.promote(number).release == number


def test_a_damaged_model_is_not_signed(desk, runs):
    (run,) = runs((1,))
    number = desk.propose(run)
    desk.store.put_blob(model_key(run.head.best_model_sha256), b"other weights")
    assert code_of(IntegrityError, desk.sign, number) == "release-altered"
    assert not desk.store.exists(desk.place(number))


def test_a_plan_that_was_changed_since_gives_another_folder(desk, runs):
    """Labels in another order are another model, though no weight has changed."""
    (run,) = runs((1,))
    number = desk.propose(run)
    desk.sign(number)
    other = run.plan.model_copy(update={"labels": ("good", "bad")})
    desk.store.put_blob(plan_key(run.run), canonical_json(other))
    with pytest.raises(IntegrityError, match=r"not as it was signed: config\.json has changed"):
        desk.promote(number)


def test_a_record_that_names_another_signature_promotes_nothing(desk, runs):
    """Somebody put another one there, which is valid, between the record and the champion's move."""
    (run,) = runs((1,))
    number = desk.propose(run)
    desk.sign(number)
    record_lineage(desk.store, desk.key, desk.found(number))
    desk.store.delete(desk.place(number))
    desk.sign(number)
    verify_release(desk.store, desk.model_key, desk.found(number), desk.work)
    assert code_of(IntegrityError, desk.promote, number) == "lineage-invalid"
    assert read_champion(desk.store, desk.recipe) is None


class Killed(BaseException):
    """The process ends here."""


POINTS = {
    "before it is signed": (signing, "sign_folder"),
    "before the signature is there": (ObjectStore, "create"),
    "before it is verified": (signing, "signature_fault"),
    "before the lineage record": (signing, "record_lineage"),
    "before the champion moves": (ObjectStore, "swap"),
}


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_at_any_point_the_next_call_goes_on(desk, runs, monkeypatch, point):
    first, second = runs((1, 2))
    desk.sign_and_promote(desk.propose(first))
    number = desk.propose(second)

    def killed(*_arguments, **_named):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(*POINTS[point], killed)
        with pytest.raises(Killed):
            desk.sign_and_promote(number)
    assert read_champion(desk.store, desk.recipe).release == 1
    signed = desk.store.read(desk.place(number))
    desk.sign(number)
    assert signed in (None, desk.store.read(desk.place(number))), "one that stands is adopted"
    assert desk.promote(number).release == number
    assert desk.lineage(number).signature_sha256 == sha256_hex(desk.store.read(desk.place(number)))


KILLED_PROCESS = """
import os, signal, sys
from functools import partial
from importlib import import_module
from pathlib import Path
from infra.keys import load_model_key, load_private_key
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from tasks.release import signing
from tasks.release.promoting import promote
from tasks.release.reading import read_report
from tests.tasks.release.folders import folder_of

home, work, recipe, number, module, name = sys.argv[1:]
signing.write_model_folder = folder_of
setattr(import_module(module), name, lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL))
settings = load_role_settings(Path(home), "coordinator")
store, key = store_from_settings(settings), load_private_key(settings.signing_key)
model_key = load_model_key(settings.model_signing_key)
signing.sign_release(store, model_key, read_report(store, recipe, int(number)), Path(work))
document = partial(signing.document_release, store, key, model_key, Path(work))
promote(store, recipe, int(number), "ann", document)
"""


@pytest.mark.parametrize(
    ("module", "name", "signed"),
    [
        ("tasks.release.signing", "sign_folder", False),
        ("tasks.release.signing", "signature_fault", True),
        ("tasks.release.promoting", "_move", True),
    ],
)
def test_a_process_that_is_killed_leaves_nothing_that_holds_up_the_next(
    home, desk, runs, module, name, signed
):
    (run,) = runs((1,))
    number = desk.propose(run)
    told = (home, desk.work, desk.recipe, number, module, name)
    program = [sys.executable, "-c", KILLED_PROCESS, *map(str, told)]
    killed = subprocess.run(program, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_champion(desk.store, desk.recipe) is None
    assert desk.store.exists(desk.place(number)) == signed
    assert desk.sign_and_promote(number).release == number
    assert desk.lineage(number).signature_sha256 == sha256_hex(desk.store.read(desk.place(number)))


def test_a_folder_of_a_process_that_was_killed_goes_a_day_later(desk, runs):
    (run,) = runs((1,))
    old, new = (desk.work / f"signing-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    a_day_ago = time.time() - 90_000
    os.utime(old, (a_day_ago, a_day_ago))
    desk.sign(desk.propose(run))
    assert list(desk.work.iterdir()) == [new], "somebody may be signing there"


def test_two_that_sign_and_promote_at_once_leave_one_signature(desk, runs):
    (run,) = runs((1,))
    number = desk.propose(run)

    def release(_):
        desk.sign(number)
        try:
            return desk.promote(number).release
        except RunConflict as error:
            return error.code

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(release, range(3)))
    assert set(done) <= {number, "promotion-lost"} and number in done
    assert len(read_history(desk.store, desk.recipe)) == 1
    assert desk.lineage(number).signature_sha256 == sha256_hex(desk.store.read(desk.place(number)))


def test_two_releases_at_once_each_have_a_signature_of_their_own(desk, runs):
    numbers = [desk.propose(run) for run in runs((1, 2))]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(desk.sign, numbers))
    assert desk.promote(numbers[1]).release == numbers[1]
    assert code_of(RunConflict, desk.promote, numbers[0]) == "release-outdated"
    for number in numbers:
        verify_release(desk.store, desk.model_key, desk.found(number), desk.work)


def test_a_rollback_returns_to_what_was_promoted(desk, released, monkeypatch):
    def newer(*_given):
        raise AssertionError("a rollback makes no folder")

    monkeypatch.setattr(signing, "write_model_folder", newer)
    assert desk.rollback().release == 1
    assert desk.rollback(to=2).release == 2


@pytest.mark.parametrize(
    ("part", "kind", "code"),
    [
        ("model", IntegrityError, "release-altered"),
        ("architecture", IntegrityError, "release-altered"),
        ("signature", IntegrityError, "release-altered"),
        ("no signature", RunConflict, "release-unsigned"),
        ("lineage", IntegrityError, "lineage-invalid"),
    ],
)
def test_a_rollback_to_what_was_altered_is_refused(desk, released, part, kind, code):
    sha256 = released[0].plan.architecture_sha256
    places = {
        "model": model_key(released[0].head.best_model_sha256),
        "architecture": architecture_key(sha256),
        "signature": desk.place(1),
        "no signature": desk.place(1),
        "lineage": desk.place(1, "lineage"),
    }
    before = desk.store.read(places[part])
    try:
        if part == "no signature":
            desk.store.delete(places[part])
        else:
            desk.store.put_blob(places[part], before[:-2] + b"xx")
        assert code_of(kind, desk.rollback) == code
        assert read_champion(desk.store, desk.recipe).release == 2
    finally:
        desk.store.put_blob(places[part], before)  # every run of these tests has that architecture
    assert desk.rollback().release == 1


def test_a_champion_of_before_there_were_signatures_is_signed_when_it_is_promoted_again(desk, runs):
    (run,) = runs((1,))
    number = desk.propose(run)
    champion = promote(desk.store, desk.recipe, number, "ann", undocumented)
    assert desk.promote(number) == champion
    assert desk.lineage(number).signature_sha256 == sha256_hex(desk.store.read(desk.place(number)))


def test_a_release_of_before_there_were_signatures_can_be_returned_to(desk, runs):
    """With a lineage record and without one, as its champions were left then."""
    for documents, run in zip(
        (undocumented, partial(record_lineage, desk.store, desk.key)), runs((1, 2)), strict=True
    ):
        promote(desk.store, desk.recipe, desk.propose(run), "ann", documents)
    assert desk.lineage(2).signature_sha256 is None
    assert desk.rollback().release == 1
    assert desk.rollback(to=2).release == 2
    place = model_key(desk.found(1).report.model_sha256)
    desk.store.put_blob(place, b"other weights")
    assert code_of(IntegrityError, desk.rollback, to=1) == "release-altered"


@pytest.mark.parametrize("named", [False, True])
def test_without_its_key_the_coordinator_releases_nothing(home, tmp_path, named):
    path = tmp_path / "none.pem" if named else None
    settings = load_role_settings(home, "coordinator").model_copy(update={"model_signing_key": path})
    with pytest.raises(InputError, match="run fedcart up") as caught:
        ReleaseDesk("run-1", settings)
    assert caught.value.code == "key-missing"
    assert str(tmp_path) not in str(caught.value)
