"""The release flow, step by step on a real store, with models' scores and the person played."""

import functools
import itertools
import json
import logging
import sys
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from prefect.input.run_input import run_input_subclass_from_type
from pydantic import ValidationError

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import FedcartError, IntegrityError, RunConflict, RunError
from fedmodels.protocol.messages import Closed, StandingChampion
from fedmodels.protocol.releases import ReleaseCheck
from fedmodels.protocol.sweeping import Sweep, SweptObject
from fedmodels.protocol.withdrawal import WithdrawalNotice
from fedmodels.row_scores import RowScores
from fedmodels.words import plain
from flows import model_release
from flows.model_release import ApprovalForm, release
from infra import store_answers
from infra.layout import (
    closed_key,
    known_withdrawal_key,
    model_key,
    prunes_prefix,
    receipt_key,
    release_key,
    round_key,
)
from infra.settings import load_role_settings
from tasks.exchange import create_signed
from tasks.release import further
from tasks.release.answering import approve, reject
from tasks.release.artifacts import report_markdown
from tasks.release.desk import ReleaseDesk
from tasks.release.reading import find_refusal, read_champion, read_release, release_numbers
from tasks.release.recording import Recorded
from tasks.release.scoring import ModelScores
from tasks.release.taking import tickets
from tasks.removal_notes import write_note
from tests.store_alone import store_alone
from tests.store_alone import store_of as store_alone_of
from tests.tasks.release.folders import small_folders
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, scores

STEPS = (
    "check_release",
    "find_answer",
    "promote_release",
    "record_release",
    "refuse_withdrawn",
    "reject_unanswered",
    "request_release",
    "show_lineage",
    "sign_release",
    "take_answer",
    "take_release",
    "note_refusal",
)
NUMBERS = itertools.count(1)
ROWS = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module")
def store_of():
    """One client for each role: making one takes a tenth of a second, and a test has several runs."""
    return functools.cache(store_alone_of)


class Played:
    """One recipe: its runs, what their models score, and what a person answers."""

    def __init__(self, home, recipe: str) -> None:
        self.home, self.recipe = home, recipe
        self.wrong: dict[str, int] = {}
        """Run to how many of the rows its model gets wrong."""
        self.scored: list[str] = []
        self.shown: list[str] = []
        self.cards: list[str] = []
        self.forms: list[ApprovalForm | BaseException] = []
        self.asked: list[float] = []
        self.given: float | None = None
        """Seconds to the deadline when somebody filled in the form, before the flow run began again."""
        self.store = None
        self.recorded: list[tuple[str, int]] = []
        """Recipes, and the champions that the models repository was to follow."""
        self.unrecorded: FedcartError | None = None
        self.dead: set[str] = set()
        """Tickets of flow runs that go on no more."""

    def finish_run(
        self,
        wrong: int,
        accuracy: float = 0.7,
        champion_accuracy: float | None = 0.7,
        abstains: str = "",
        **bounds,
    ) -> str:
        """Its parties score the champion of this moment too, which has `champion_accuracy` on their rows."""
        number = next(NUMBERS)
        run = FinishedRun(self.home, f"run-{number}", seed=number, champion_accuracy=champion_accuracy)
        if champion := read_champion(run.store, self.recipe):
            run.champion = StandingChampion(run=champion.run, model_sha256=champion.model_sha256)
        gate = run.plan.recipe.release.model_copy(update=bounds)
        recipe = run.plan.recipe.model_copy(update={"name": self.recipe, "release": gate})
        run.plan = run.plan.model_copy(update={"recipe": recipe})
        run.store.put_blob(f"coordinator/runs/{run.run}/plan.json", run.plan.model_dump_json().encode())
        run.play(1, dict.fromkeys(PARTIES, 1), accuracy=accuracy, abstains=abstains)
        run.close()
        self.wrong[run.run] = wrong
        self.store = run.store
        return run.run

    def score(self, _desk, kept, *, compared=False) -> ModelScores:
        self.scored.append(kept.run)
        correct = np.arange(ROWS) >= self.wrong[kept.run]
        rows = RowScores(correct, np.full(ROWS, 0.4), np.full(ROWS, 0.9))
        metrics = scores(float(correct.mean()))
        return ModelScores(metrics, rows, metrics, 3.0)

    def record(self, recorder, recipe) -> Recorded:
        assert recorder.store is self.store
        if self.unrecorded:
            raise self.unrecorded
        self.recorded.append((recipe, self.champion))
        return Recorded()

    def ask(self, request, report, seconds):
        self.asked.append(seconds)
        answer = self.forms.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return answer()
        return answer

    def release(self, run: str, ticket: str = ""):
        desk = ReleaseDesk(run, load_role_settings(self.home, "coordinator"))
        return release(desk, ticket or f"flow run of {run}", "drift at shop-a")

    @property
    def champion(self) -> int | None:
        found = read_champion(self.store, self.recipe)
        return found.release if found else None

    def standing(self, number: int) -> str:
        return read_release(self.store, self.recipe, number).standing


@pytest.fixture
def played(home, store_of, monkeypatch) -> Played:
    monkeypatch.setattr("tests.tasks.verifying.finished_run.store_of", store_of)
    monkeypatch.setattr("tasks.release.desk.store_from_settings", lambda _: store_of(home, "coordinator"))
    made = Played(home, f"recipe-{next(NUMBERS)}")
    for step in STEPS:
        monkeypatch.setattr(model_release, step, getattr(model_release, step).fn)
    monkeypatch.setattr(
        model_release,
        "show_report",
        lambda request, report: made.shown.append(report_markdown(request, report)),
    )
    monkeypatch.setattr("tasks.release.steps.show_model_card", lambda _, card: made.cards.append(card))
    monkeypatch.setattr("tasks.release.steps.get_run_logger", lambda: logging.getLogger("release"))
    monkeypatch.setattr("tasks.release.steps.record_releases", made.record)
    texts = LabelledTexts(tuple("x" * (n % 40 + 1) for n in range(ROWS)), ("good", "bad") * (ROWS // 2))
    monkeypatch.setattr("tasks.release.report.score_model", made.score)
    monkeypatch.setattr(ReleaseDesk, "own_set", lambda *_: texts)
    small_folders(monkeypatch)
    monkeypatch.setattr(model_release, "ask", made.ask)
    monkeypatch.setattr("tasks.release.steps.is_going", lambda ticket: ticket not in made.dead)
    monkeypatch.setattr(model_release, "find_form", lambda _report, _flow_run: made.given)
    monkeypatch.setattr(model_release, "runtime", SimpleNamespace(deployment=SimpleNamespace(id="d")))
    return made


def form(decision: str, by: str = "ann", comment: str = "") -> ApprovalForm:
    return ApprovalForm(decision=decision, by=by, comment=comment)


def test_what_passes_becomes_the_champion_and_what_is_worse_does_not(played):
    assert played.release(played.finish_run(40))["release"] == 1
    assert played.release(played.finish_run(30))["release"] == 2
    refused = played.release(played.finish_run(90))
    assert (refused.name, refused.is_completed()) == ("Refused", True)
    assert refused.message.startswith(f"Release 3 of {played.recipe} failed 6 checks: non-inferiority")
    assert played.champion == 2
    assert [played.standing(n) for n in (1, 2, 3)] == ["champion before", "champion", "checks failed"]
    assert read_champion(played.store, played.recipe).by == "recipe"


def test_the_report_is_shown_with_every_check(played):
    played.release(played.finish_run(40))
    page = played.shown[0]
    assert page.startswith(f"## Release 1 of {played.recipe}: no check refused it")
    assert "the first release, compared with bounds alone. Asked for because: drift at shop\\-a." in page
    assert "| calibration | 0.0333 | 0.15 | ✓ passed |" in page
    assert page.count("\n| ") == len(read_release(played.store, played.recipe, 1).found.report.checks) + 2


def test_a_champion_has_a_card_and_a_model_that_is_refused_has_none(played):
    first = played.finish_run(40)
    played.release(first)
    played.release(played.finish_run(40, accuracy=0.2))
    assert len(played.cards) == 1
    assert f"# {played.recipe}, release 1" in played.cards[0] and f"| run | {first}, round" in played.cards[0]


def test_it_is_signed_before_a_person_is_asked_and_what_is_refused_is_not(played):
    signed = []

    def answer():
        signed.append(played.store.read(release_key(played.recipe, 1, "signature")))
        return form("approve")

    played.forms = [answer]
    assert played.release(played.finish_run(40, approval="person"))["release"] == 1
    assert signed[0] == played.store.read(release_key(played.recipe, 1, "signature"))
    assert "| signature | `" in played.cards[0]
    assert played.release(played.finish_run(90)).name == "Refused"
    assert not played.store.exists(release_key(played.recipe, 2, "signature"))


def test_what_is_altered_while_a_person_thinks_is_not_promoted(played):
    place = release_key(played.recipe, 1, "signature")

    def answer():
        bundle = json.loads(played.store.read(place))
        bundle["dsseEnvelope"]["payload"] = bundle["dsseEnvelope"]["payload"].replace("a", "b", 1)
        played.store.put_blob(place, json.dumps(bundle).encode())
        return form("approve")

    played.forms = [answer]
    run = played.finish_run(40, approval="person")
    with pytest.raises(IntegrityError) as caught:
        played.release(run)
    assert caught.value.code == "release-altered"
    assert (played.champion, played.standing(1)) == (None, "cannot be promoted")
    played.forms = [form("approve")]
    assert played.release(run, "another flow run")["release"] == 2


def test_a_release_whose_flow_died_before_it_was_signed_is_signed_by_the_next(played, monkeypatch):
    run = played.finish_run(40)
    with monkeypatch.context() as patched:
        patched.setattr(model_release, "sign_release", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            played.release(run)
    assert (played.champion, played.standing(1)) == (None, "ready")
    assert played.release(run, "another flow run")["release"] == 1
    assert played.scored == [run], "its checks stand"


def test_the_models_repository_follows_the_champion_and_fails_no_release(played, caplog):
    played.release(played.finish_run(40))
    assert played.recorded == [(played.recipe, 1)]
    played.release(played.finish_run(90))
    assert len(played.recorded) == 1, "what is refused is not recorded"
    played.unrecorded = RunError("It is dirty", fix="commit there", code="models-dirty")
    assert played.release(played.finish_run(30))["release"] == played.champion == 3
    assert "does not show it yet: models-dirty: It is dirty; commit there." in caplog.text


def test_a_card_that_cannot_be_made_fails_no_release(played, monkeypatch, caplog):
    def unreadable(*_arguments):
        raise IntegrityError("The record is not signed", fix="propose anew", code="lineage-invalid")

    monkeypatch.setattr("tasks.release.steps.read_lineage", unreadable)
    assert played.release(played.finish_run(40))["release"] == played.champion == 1
    assert played.cards == []
    assert "lineage-invalid: The record is not signed; propose anew." in caplog.text


def test_a_receipt_that_is_gone_keeps_the_model_out(played, store_of):
    run = played.finish_run(40)
    store_of(played.home, "shop-a").delete(receipt_key("shop-a", run, 1))
    assert played.release(run).message.startswith(f"Release 1 of {played.recipe} failed a check: lineage. ")


def test_a_further_check_stands_in_the_report_and_may_refuse(played, monkeypatch):
    asked = []

    def budget(desk, kept):
        asked.append((desk.run, kept.run))
        sentence = "The privacy budget is spent: refused."
        return [
            ReleaseCheck(name="privacy-budget", value=9.0, bound=8.0, verdict="failed", sentence=sentence)
        ]

    monkeypatch.setattr(further, "FURTHER", (budget,))
    run = played.finish_run(40)
    said = (
        f"Release 1 of {played.recipe} failed a check: privacy-budget. The privacy budget is spent: refused."
    )
    assert played.release(run).message == said
    assert "| privacy\\-budget | 9 | 8 | ✗ refused |" in played.shown[0]
    assert asked == [(run, run)]


def test_who_abstained_is_told_at_the_top_of_the_report(played):
    played.release(played.finish_run(40, abstains="shop-b"))
    page = played.shown[0]
    assert page.startswith(f"## Release 1 of {played.recipe}: no check refused it (not checked: shop-b)\n")
    assert plain("shop-b did not score the candidate (no holdout rows), so that no bound was held") in page


def test_a_run_that_falls_at_a_party_is_refused_by_that_party(played):
    played.release(played.finish_run(40, accuracy=0.9))
    refused = played.release(played.finish_run(40, accuracy=0.6, champion_accuracy=0.9))
    assert all(f"party/{party}/drop" in refused.message for party in PARTIES)


def test_after_drift_both_models_are_judged_on_the_rows_as_they_are_now(played):
    """The champion had 0.9 on the rows of its own run; on those of today it has 0.5, and the new one 0.6."""
    played.release(played.finish_run(40, accuracy=0.9))
    assert played.release(played.finish_run(40, accuracy=0.6, champion_accuracy=0.5))["release"] == 2
    checks = {check.name: check for check in read_release(played.store, played.recipe, 2).found.report.checks}
    assert checks["party/shop-a/drop"].value == pytest.approx(-0.1)


def test_a_run_whose_parties_did_not_score_the_champion_is_compared_with_nothing_and_refused(played):
    before = played.finish_run(40)
    played.release(played.finish_run(40))
    refused = played.release(before)
    assert refused.message.startswith(f"Release 2 of {played.recipe} failed a check: parties. ")


def test_a_flow_run_that_is_started_again_checks_nothing_twice(played):
    run = played.finish_run(40)
    first = played.release(run)
    assert played.scored == [run]
    assert played.release(run) == first
    assert played.scored == [run]


def test_a_second_flow_run_for_the_same_model_ends_as_the_first_did(played):
    """A retraining releases what it trained, and so may the scheduled look: whichever is slower."""
    run = played.finish_run(40)
    first = played.release(run)
    assert played.release(run, ticket="another flow run") == first
    assert (played.scored, played.champion) == ([run], 1)


def test_only_one_form_is_open_for_a_model(played):
    run = played.finish_run(40, approval="person")

    def overtaken():
        state = played.release(run, ticket="another flow run")
        assert state.name == "AwaitingApproval"
        return form("approve")

    played.forms = [overtaken]
    first = played.release(run)
    assert first["release"] == played.champion == 1
    assert len(played.asked) == 1
    assert played.release(run, ticket="another flow run") == first, "the word of the other's form counts"


@pytest.mark.parametrize("killed_before", ["check_release", "show_report"])
def test_whoever_takes_a_release_up_asks(played, monkeypatch, killed_before):
    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    run = played.finish_run(40, approval="person")
    with monkeypatch.context() as patch:
        patch.setattr(model_release, killed_before, kill)
        with pytest.raises(Killed):
            played.release(run)
    played.dead.add(f"flow run of {run}")
    played.forms = [form("approve")]
    assert played.release(run, ticket="the taker")["release"] == played.champion == 1
    assert len(played.asked) == 1


def test_of_two_that_take_a_release_up_one_asks(played):
    class Suspended(BaseException):
        pass

    run = played.finish_run(40, approval="person")
    played.forms = [Suspended(), Suspended(), form("approve")]
    with pytest.raises(Suspended):
        played.release(run)
    played.dead.add(f"flow run of {run}")
    with pytest.raises(Suspended):
        played.release(run, ticket="the taker")
    assert played.release(run, ticket="a third").name == "AwaitingApproval"
    assert played.release(run).name == "AwaitingApproval", "the first one, started again, is too late"
    assert played.release(run, ticket="the taker")["release"] == 1
    request = read_release(played.store, played.recipe, 1).request
    assert tickets(played.store, request) == [f"flow run of {run}", "the taker"]


def test_what_keeps_a_model_from_ever_getting_a_report_is_noted(played, monkeypatch):
    def differ(*_):
        raise RunConflict("It has other labels", fix="give it another name", code="labels-differ")

    run = played.finish_run(40)
    with monkeypatch.context() as patch:
        patch.setattr(model_release, "check_release", differ)
        with pytest.raises(RunConflict):
            played.release(run)
    view = read_release(played.store, played.recipe, 1)
    assert view.standing == "cannot be checked"
    assert (view.refusal.run, view.refusal.code) == (run, "labels-differ")
    assert view.document()["refusal"]["sentence"] == "It has other labels; give it another name."
    again = played.release(run, ticket="by hand, when it is mended")
    assert again["release"] == played.champion == 2


def test_a_chain_that_is_broken_is_noted_before_a_release_has_a_number(played):
    run = played.finish_run(40)
    key = round_key(run, 1, "candidate")
    played.store.delete(key)
    with pytest.raises(IntegrityError) as caught:
        played.release(run)
    assert caught.value.code == "chain-broken"
    assert find_refusal(played.store, played.recipe, run).code == "chain-broken"


def test_a_model_that_was_pruned_is_noted_and_takes_no_number(played):
    run = played.finish_run(40)
    key = model_key(Closed.model_validate_json(played.store.read(closed_key(run))).model_sha256)
    objects = (SweptObject(key=key, bytes=1),)
    write_note(played.store, prunes_prefix(), Sweep(role="coordinator", older_than=3600.0, objects=objects))
    with pytest.raises(RunConflict) as caught:
        played.release(run)
    assert caught.value.code == "prune-going"
    assert find_refusal(played.store, played.recipe, run) is None, "it may be spared yet"
    assert played.standing(1) == "no report yet", "and a prune that looks again sees that"
    played.store.delete(key)
    other = played.finish_run(30)
    assert played.release(other)["release"] == 2
    with pytest.raises(RunConflict) as caught:
        played.release(run, ticket="later")
    assert caught.value.code == "pruned"
    assert find_refusal(played.store, played.recipe, run).code == "pruned"
    assert release_numbers(played.store, played.recipe) == [1, 2]


def test_a_broken_champion_is_no_fault_of_the_candidate(played):
    first = played.finish_run(wrong=60)
    played.release(first)
    second = played.finish_run(wrong=50)
    key = round_key(first, 1, "record")
    record = played.store.read(key)
    played.store.delete(key)
    with pytest.raises(IntegrityError) as caught:
        played.release(second)
    assert caught.value.code == "champion-chain-broken"
    assert "release 1, cannot be compared with" in str(caught.value)
    assert find_refusal(played.store, played.recipe, second) is None
    assert find_refusal(played.store, played.recipe, first) is None
    played.store.put_blob(key, record)
    played.release(second)
    assert played.champion == 2


def test_a_fault_that_may_pass_is_not_noted(played, monkeypatch):
    def away(*_):
        raise RunError("The store is away", fix="wait", code="store-away")

    run = played.finish_run(40)
    with monkeypatch.context() as patch:
        patch.setattr(model_release, "check_release", away)
        with pytest.raises(RunError):
            played.release(run)
    assert read_release(played.store, played.recipe, 1).standing == "no report yet"
    assert played.release(run)["release"] == 1


def test_a_person_is_asked_with_the_time_that_is_left(played):
    run = played.finish_run(40, approval="person", approval_deadline=500.0)
    played.forms = [form("approve", comment="fine")]
    assert played.release(run)["release"] == 1
    assert len(played.asked) == 1
    assert 450.0 < played.asked[0] <= 500.0
    assert read_champion(played.store, played.recipe).by == "ann"


def test_a_suspended_flow_run_goes_on_where_it_was(played):
    class Suspended(BaseException):
        pass

    run = played.finish_run(40, approval="person")
    played.forms = [Suspended(), form("approve")]
    with pytest.raises(Suspended):
        played.release(run)
    assert played.champion is None
    assert played.standing(1) == "awaiting approval"
    assert played.release(run)["release"] == 1
    assert played.scored == [run]


def test_a_rejection_keeps_the_champion(played):
    played.release(played.finish_run(40))
    played.forms = [form("reject", comment="not before the holidays")]
    state = played.release(played.finish_run(30, approval="person"))
    assert state.name == "Rejected"
    assert state.message.endswith("is rejected by ann: not before the holidays.")
    assert played.champion == 1


def test_an_approval_after_the_deadline_is_a_rejection(played, monkeypatch):
    run = played.finish_run(40, approval="person", approval_deadline=60.0)
    clock = store_answers.clock

    def too_late():
        monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(seconds=90))
        return form("approve")

    played.forms = [too_late]
    state = played.release(run)
    assert (state.name, played.champion) == ("Rejected", None)
    assert "rejected by deadline: nobody approved within 60 s" in state.message
    assert played.standing(1) == "deadline passed"


def test_a_form_that_was_filled_in_in_time_counts_though_its_worker_comes_late(played, monkeypatch):
    class Suspended(BaseException):
        pass

    run = played.finish_run(40, approval="person", approval_deadline=60.0)
    played.forms = [Suspended(), form("approve")]
    with pytest.raises(Suspended):
        played.release(run)
    clock = store_answers.clock
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(seconds=900))
    played.given = 20.0
    assert played.release(run)["release"] == played.champion == 1
    assert 850.0 <= read_release(played.store, played.recipe, 1).found.approval.delay <= 870.0


def test_after_the_deadline_nobody_is_asked(played, monkeypatch):
    run = played.finish_run(40, approval="person", approval_deadline=60.0)
    played.forms = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        played.release(run)
    clock = store_answers.clock
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(seconds=90))
    assert played.release(run).name == "Rejected"
    assert len(played.asked) == 1


@pytest.mark.parametrize(("meanwhile", "champion"), [(approve, 1), (reject, None)])
def test_a_word_from_the_command_line_stands_before_the_forms(played, meanwhile, champion):
    run = played.finish_run(40, approval="person")

    def overtaken():
        meanwhile(played.store, played.recipe, 1, "ben")
        return form("reject" if champion else "approve")

    played.forms = [overtaken]
    played.release(run)
    assert played.champion == champion


def withdraw(played, run: str) -> None:
    """The coordinator has heard that shop-a withdrew rows that the run learned from."""
    notice = WithdrawalNotice(
        party="shop-a",
        recipe=played.recipe,
        number=1,
        leaves=False,
        withdrawal="a" * 64,
        receipts=({"run": run, "round": 1},),
    )
    key = ReleaseDesk(run, load_role_settings(played.home, "coordinator")).signing_key
    create_signed(played.store, known_withdrawal_key("shop-a", played.recipe, 1), notice, key)


def refused_as_withdrawn(played, run: str) -> None:
    with pytest.raises(RunConflict) as caught:
        played.release(run)
    assert caught.value.code == "release-withdrawn"
    view = read_release(played.store, played.recipe, 1)
    assert (view.standing, view.refusal.code) == ("cannot be promoted", "release-withdrawn")
    assert (view.found.approval, played.champion) == (None, None)


def test_no_form_approves_what_learned_from_what_was_withdrawn_meanwhile(played):
    run = played.finish_run(40, approval="person")

    def meanwhile():
        withdraw(played, run)
        return form("approve")

    played.forms = [meanwhile]
    refused_as_withdrawn(played, run)
    reject(played.store, played.recipe, 1, "ann", "it was withdrawn")
    assert played.standing(1) == "rejected"


def test_a_form_may_reject_it(played):
    run = played.finish_run(40, approval="person")

    def meanwhile():
        withdraw(played, run)
        return form("reject")

    played.forms = [meanwhile]
    assert played.release(run).name == "Rejected"


@pytest.mark.parametrize("approval", ["person", "none"])
def test_what_was_withdrawn_after_the_checks_is_over_and_nobody_is_asked(played, monkeypatch, approval):
    run = played.finish_run(40, approval=approval)
    sign = model_release.sign_release
    monkeypatch.setattr(model_release, "sign_release", lambda *given: (withdraw(played, run), sign(*given)))
    refused_as_withdrawn(played, run)
    assert played.asked == []


def test_without_a_deployment_the_flow_ends_and_says_what_to_do(played, monkeypatch):
    monkeypatch.setattr(model_release, "runtime", SimpleNamespace(deployment=SimpleNamespace(id=None)))
    state = played.release(played.finish_run(40, approval="person"))
    assert state.name == "AwaitingApproval"
    assert state.message.endswith(f"waits for fedcart release approve {played.recipe} 1.")
    assert played.asked == []


def test_a_champion_that_changed_meanwhile_makes_the_comparison_void(played):
    run, other = played.finish_run(40, approval="person"), played.finish_run(35)

    def overtaken():
        played.release(other)
        return form("approve")

    played.forms = [overtaken]
    with pytest.raises(RunConflict) as caught:
        played.release(run)
    assert caught.value.code == "release-outdated"
    assert played.champion == 2


def test_the_form_is_one_that_prefect_shows_and_wants_a_decision_and_a_name():
    shown = ApprovalForm.with_initial_data(description="## Release 1")
    assert run_input_subclass_from_type(shown) is shown
    assert shown._description == "## Release 1"
    schema = shown.model_json_schema()
    assert schema["required"] == ["decision", "by"]
    assert schema["properties"]["decision"]["enum"] == ["approve", "reject"]
    for wrong in (
        {"decision": "maybe", "by": "ann"},
        {"decision": "approve"},
        {"decision": "approve", "by": ""},
    ):
        with pytest.raises(ValidationError):
            ApprovalForm(**wrong)


def test_ask_suspends_under_a_key_that_is_the_same_next_time(played, monkeypatch):
    monkeypatch.undo()
    told = {}
    monkeypatch.setattr(
        model_release, "suspend_flow_run", lambda **words: told.update(words) or form("approve")
    )
    report = SimpleNamespace(release=7)
    monkeypatch.setattr(model_release, "report_markdown", lambda *_: "## Release 7")
    assert model_release.ask(None, report, 0.2).decision == "approve"
    assert (told["timeout"], told["key"]) == (1, "approval-7")
    assert told["wait_for_input"]._description == "## Release 7"
