"""Which run the scheduled look proposes: the latest finished one, once, whatever else lies there."""

import itertools
import json
from datetime import timedelta

import pytest

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.releases import ReleaseRequest
from fedmodels.protocol.retraining import RetrainingRequest
from fedmodels.protocol.withdrawal import WithdrawalNotice
from infra.deployments import looking, starting
from infra.keys import load_private_key
from infra.layout import closed_key, known_withdrawal_key, plan_key, retraining_key
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tasks.release import waiting
from tasks.release.promoting import promote
from tasks.release.requesting import open_release
from tasks.release.taking import refuse_for_good, take_up
from tasks.release.withdrawn import mark_release
from tests.store_alone import store_of
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

NUMBERS = itertools.count(1)


@pytest.fixture
def store(home) -> ObjectStore:
    return store_of(home, "coordinator")


@pytest.fixture
def find(home, store, monkeypatch):
    """Ask for the run of a recipe that waits."""
    monkeypatch.setattr(waiting, "store_from_settings", lambda _settings: store)
    return lambda recipe: waiting.find_unreleased.fn(load_role_settings(home, "coordinator"), recipe)


class Runs:
    """Runs of one recipe, each closed an hour after the one before by the store's clock."""

    def __init__(self, home, store, monkeypatch) -> None:
        self.home, self.store = home, store
        self.recipe = f"recipe-{next(NUMBERS)}"
        self.closed: dict[str, int] = {}
        put_at = ObjectStore.put_at

        def moved(own, key):
            at = put_at(own, key)
            return at and at + timedelta(hours=self.closed.get(key, 0))

        monkeypatch.setattr(ObjectStore, "put_at", moved)

    def add(self, status="finished", parties=PARTIES, repeats=None) -> str:
        number = next(NUMBERS)
        run = FinishedRun(self.home, f"run-{number}", seed=number)
        recipe = run.plan.recipe.model_copy(update={"name": self.recipe})
        keys = {party: run.plan.parties[party] for party in parties}
        run.plan = run.plan.model_copy(update={"recipe": recipe, "parties": keys, "repeats": repeats})
        self.write(plan_key(run.run), run.plan.model_dump_json())
        closed = Closed(
            run=run.run,
            status=status,
            model_sha256=run.plan.base_model_sha256,
            rounds=1,
            final=None,
            seconds=1.0,
        )
        create_message(self.store, closed_key(run.run), closed)
        self.closed[closed_key(run.run)] = len(self.closed)
        return run.run

    def write(self, key: str, text: str) -> None:
        self.store.put_blob(key, text.encode())

    def propose(self, run: str, ticket: str = "by hand") -> ReleaseRequest:
        closed = Closed.model_validate_json(self.store.read(closed_key(run)))
        return open_release(
            self.store, self.recipe, ticket, run=run, round_number=1, model_sha256=closed.model_sha256
        )


@pytest.fixture
def runs(home, store, monkeypatch) -> Runs:
    return Runs(home, store, monkeypatch)


def test_nothing_waits_where_nothing_finished(runs, find):
    assert find(runs.recipe) is None
    runs.add(status="cancelled")
    runs.add(parties=PARTIES[:2])  # a comparison
    assert find(runs.recipe) is None


def test_the_latest_finished_run_waits_until_its_checks_were_made(runs, find):
    older, latest = runs.add(), runs.add()
    runs.add(status="failed")
    assert find(runs.recipe) == latest
    reported(runs.store, runs.propose(latest))
    assert find(runs.recipe) == latest, "its flow run died before the promotion"
    promote(runs.store, runs.recipe, 1, "ann", undocumented)
    assert find(runs.recipe) is None, f"{older} was passed over"


def test_a_run_that_was_made_again_takes_the_place_of_no_newer_model(runs, find):
    older, latest = runs.add(), runs.add()
    runs.add(repeats=older)
    assert find(runs.recipe) == latest
    reported(runs.store, runs.propose(latest), verdict="failed")
    assert find(runs.recipe) is None, "the repetition waits for nothing"


def test_a_retraining_without_a_party_that_left_waits_though_it_is_of_some_of_them(runs, find):
    runs.add()
    retrained = runs.add(parties=PARTIES[:2])
    request = RetrainingRequest(
        recipe=runs.recipe,
        number=1,
        ticket="t",
        run=retrained,
        champion_sha256="0" * 64,
        parties=PARTIES[2:],
        withdrawals=("k",),
        without=PARTIES[2:],
        reason="withdrawal",
    )
    create_message(runs.store, retraining_key(runs.recipe, 1), request)
    runs.add(parties=PARTIES[:2])  # a comparison
    assert find(runs.recipe) == retrained


@pytest.mark.parametrize(
    ("state", "going"),
    [
        ("RUNNING", True),
        ("SCHEDULED", True),
        (None, True),
        ("CRASHED", False),
        ("FAILED", False),
        ("CANCELLED", False),
        (looking.UNKNOWN, False),
    ],
)
def test_a_release_whose_checks_died_is_taken_up_again(runs, find, monkeypatch, state, going):
    """`None`: the server cannot say, and nothing is started twice."""
    run = runs.add()
    ticket = "3f2b8a52-3c1e-4a51-9d1b-0d3a3ce8a001"
    request = runs.propose(run, ticket)
    monkeypatch.setattr(looking, "flow_run_state", lambda asked, **_: state if asked == ticket else "RUNNING")
    assert find(runs.recipe) == (None if going else run)
    assert runs.propose(run, "of another flow run") == request, "which adopts it"


@pytest.mark.parametrize("going", [True, False])
def test_a_release_that_was_taken_up_is_judged_by_whoever_took_it_up(runs, find, monkeypatch, going):
    run = runs.add()
    request = runs.propose(run, "3f2b8a52-3c1e-4a51-9d1b-0d3a3ce8a001")
    taker = "3f2b8a52-3c1e-4a51-9d1b-0d3a3ce8a002"
    assert take_up(runs.store, request, taker, going=lambda _ticket: False)
    state = "RUNNING" if going else "CRASHED"
    monkeypatch.setattr(looking, "flow_run_state", lambda asked, **_: state if asked == taker else "CRASHED")
    assert find(runs.recipe) == (None if going else run)


@pytest.mark.parametrize("going", [True, False])
def test_a_release_whose_form_died_is_taken_up_again(runs, find, monkeypatch, going):
    run = runs.add()
    reported(runs.store, runs.propose(run, "3f2b8a52-3c1e-4a51-9d1b-0d3a3ce8a001"), approval="person")
    monkeypatch.setattr(looking, "flow_run_state", lambda *_, **__: "PAUSED" if going else "CRASHED")
    assert find(runs.recipe) == (None if going else run)


@pytest.mark.parametrize("marked", [True, False])
def test_what_learned_from_what_was_withdrawn_is_proposed_no_more(home, runs, find, marked):
    """A mark says so; where it could not be put, the promotion that failed does."""
    run = runs.add()
    reported(runs.store, runs.propose(run))
    assert find(runs.recipe) == run
    key = load_private_key(load_role_settings(home, "coordinator").signing_key)
    notice = WithdrawalNotice(
        party="shop-a",
        recipe=runs.recipe,
        number=1,
        leaves=False,
        withdrawal="a" * 64,
        receipts=({"run": run, "round": 1},),
    )
    create_signed(runs.store, known_withdrawal_key("shop-a", runs.recipe, 1), notice, key)
    if marked:
        assert mark_release(runs.store, key, runs.recipe, 1, (notice,))
    else:
        with pytest.raises(RunConflict, match="rows that shop-a withdrew"):
            promote(runs.store, runs.recipe, 1, "recipe", undocumented)
    assert find(runs.recipe) is None


def test_what_can_never_get_a_report_is_over(runs, find):
    run = runs.add()
    runs.propose(run)
    error = RunConflict("It has other labels", fix="give it another name", code="labels-differ")
    refuse_for_good(runs.store, run, error)
    found = find(runs.recipe)
    assert (found.run, found.code) == (run, "labels-differ")
    latest = runs.add()
    assert find(runs.recipe) == latest


def test_what_was_noted_counts_no_more_once_the_model_has_been_checked(runs, find):
    run = runs.add()
    error = RunConflict("Its labels are unknown", fix="mend the table", code="labels-unknown")
    refuse_for_good(runs.store, run, error)
    assert find(runs.recipe).code == "labels-unknown"
    reported(runs.store, runs.propose(run))
    promote(runs.store, runs.recipe, 1, "ann", undocumented)
    assert find(runs.recipe) is None


def test_a_run_with_a_model_that_was_proposed_by_another_does_not_wait(runs, find):
    first = runs.add()
    reported(runs.store, runs.propose(first))
    promote(runs.store, runs.recipe, 1, "ann", undocumented)
    again = runs.add()
    closed = Closed.model_validate_json(runs.store.read(closed_key(first)))
    runs.write(closed_key(again), closed.model_copy(update={"run": again}).model_dump_json())
    assert find(runs.recipe) is None


def test_plans_of_other_versions_and_damaged_messages_hold_up_no_release(runs, find):
    waiting_run = runs.add()
    later, damaged, unclosed = runs.add(), runs.add(), runs.add()
    plan = json.loads(runs.store.read(plan_key(later)))
    plan["recipe"]["name"] = "another-recipe"
    plan["recipe"]["of_a_later_version"] = True
    runs.write(plan_key(later), json.dumps(plan))
    runs.write(plan_key(damaged), "[]")
    runs.write(closed_key(unclosed), "{}")
    assert find(runs.recipe) == waiting_run


def test_a_latest_run_whose_plan_cannot_be_read_is_named_and_no_older_one_takes_its_place(runs, find):
    runs.add()
    latest = runs.add()
    plan = json.loads(runs.store.read(plan_key(latest)))
    runs.write(plan_key(latest), json.dumps({**plan, "of_a_later_version": True}))
    with pytest.raises(IntegrityError, match=f"{latest}/plan.json is no valid Plan of this version"):
        find(runs.recipe)


def test_a_recipe_that_is_none_is_refused(find):
    with pytest.raises(InputError, match="recipe"):
        find("No Recipe")


def test_a_release_is_started_with_a_reason(monkeypatch):
    told = []
    monkeypatch.setattr(
        starting, "start_release", lambda run, reason: told.append((run, reason)) or "flow run 1"
    )
    assert waiting.start_release.fn("run-1") == "flow run 1"
    assert told == [("run-1", "a scheduled look for new models")]
