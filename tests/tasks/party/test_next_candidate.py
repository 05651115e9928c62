"""How long a party looks for a round's candidate: while the round is open, whoever is away meanwhile."""

import itertools

import pytest

from fedmodels.protocol.messages import Session
from infra.settings import load_role_settings
from infra.waiting import wait_for
from tasks.cancelling import cancel_run
from tasks.party import evaluation, joining
from tasks.party.evaluation import next_candidate
from tasks.party.session import PartySession
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

PARTY = "shop-a"
NUMBERS = itertools.count(1)
HASTE = {"round_timeout": 60.0, "evaluation_timeout": 30.0, "session_idle_timeout": 900.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def played(home):
    """A run whose round 1 is open: all have submitted, and the coordinator has decided."""
    made = FinishedRun(home, f"candidate-{next(NUMBERS)}", changes=HASTE)
    made.announced = made.announce(1)
    for party in PARTIES:
        made.submit(party, 1)
    made.decision = made.decide(1, dict.fromkeys(PARTIES, 1), {})
    return made


@pytest.fixture
def session(played):
    made = PartySession(played.run, load_role_settings(played.home, PARTY))
    made.plan = played.plan
    take_lease(made, "mine")
    return made


def take_lease(session, session_id):
    joining._take_lease(session, Session(run=session.run, party=PARTY, session=session_id))


@pytest.fixture
def waits(monkeypatch):
    """What happens at a look, by its number; and the seconds for which it would have been looked."""

    class Waits:
        timeout = 0.0
        at: dict = {}  # noqa: RUF012 (replaced by each test)

        def __call__(self, look, *, timeout, first_wait):
            self.timeout, looks = timeout, itertools.count(1)

            def counted():
                self.at.get(next(looks), lambda: None)()
                return look()

            return wait_for(counted, timeout=60.0, first_wait=0.001, longest_wait=0.001)

    made = Waits()
    monkeypatch.setattr(evaluation, "wait_for", made)
    return made


def test_a_candidate_that_comes_late_is_taken_while_its_round_is_open(played, session, waits):
    waits.at = {6: lambda: played.propose_anything(played.decision)}
    found = next_candidate(session, played.announced, "mine")
    assert (found.round, found.run) == (1, played.run)
    longest = played.announced.round_timeout + played.plan.recipe.evaluation_timeout
    assert waits.timeout == longest + played.plan.recipe.session_idle_timeout == 990.0


def test_a_session_that_waited_in_vain_leaves_and_waits_for_no_other_round(played, session, monkeypatch):
    monkeypatch.setattr(evaluation, "wait_for", lambda look, **_limits: look())
    assert next_candidate(session, played.announced, "mine") == "leave"


def test_a_candidate_of_a_closed_round_is_not_scored_however_soon_it_is_found(played, session, waits):
    candidate = played.propose_anything(played.decision)
    evaluations = {party: played.evaluate(candidate, party, 0.7) for party in PARTIES}
    played.close_round(played.decision, candidate, evaluations)
    assert next_candidate(session, played.announced, "mine") == "closed"


def test_a_round_that_closes_without_a_candidate_ends_the_waiting(played, session, waits):
    waits.at = {6: lambda: played.close_round(played.decision, None, {})}
    assert next_candidate(session, played.announced, "mine") == "closed"


def test_so_does_a_run_that_is_cancelled(played, session, waits):
    waits.at = {6: lambda: cancel_run(played.store, played.run, "a person said so")}
    assert next_candidate(session, played.announced, "mine") == "closed"


@pytest.mark.parametrize("proposed", [False, True])
def test_a_session_that_lost_its_lease_leaves(played, session, waits, proposed):
    if proposed:
        played.propose_anything(played.decision)
    take_lease(session, "another")
    assert next_candidate(session, played.announced, "mine") == "leave"
