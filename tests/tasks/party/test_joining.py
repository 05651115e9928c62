"""Which session of a party goes on: the one with the lease. Another leaves, whether a round comes or not."""

import itertools

import pytest

from fedmodels.errors import DataRefused, InputError, PolicyForbids
from fedmodels.protocol.messages import Session
from infra.layout import session_key
from infra.settings import load_role_settings
from tasks.exchange import read_message
from tasks.party import joining
from tasks.party.joining import declare_ready, decline, find_predecessor, holds_lease, next_announcement
from tasks.party.session import PartySession
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

PARTY = "shop-a"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield FinishedRun(home, "joined-1")


def joined(played, session_id):
    session = begun(played)
    session.plan = played.plan
    joining._take_lease(session, Session(run=played.run, party=PARTY, session=session_id))
    session.predecessor = None
    return session


def test_a_session_that_lost_its_lease_leaves_before_a_round_comes(played):
    first = joined(played, "first")
    second = joined(played, "second")
    assert next_announcement(first, "first", after=0) is None  # long before its idle timeout, or the test's
    declare_ready(first, "first")
    assert holds_lease(second, "second"), "one that lost its lease took it back"
    announced = played.announce(1)
    assert next_announcement(second, "second", after=0) == announced


def test_rounds_that_were_closed_while_a_session_was_away_are_passed_over(fresh):
    session = joined(fresh, "slept")
    for number in (1, 2, 3):
        fresh.play(number, dict.fromkeys(PARTIES, number), accuracy=0.7)
    announced = fresh.announce(4)
    assert next_announcement(session, "slept", after=1) == announced
    assert next_announcement(session, "slept", after=3) == announced


def test_a_party_says_with_ready_what_its_data_were_refused_for(played):
    session = joined(played, "third")
    for refused, code in (
        (DataRefused("A label is unknown", code="contract-label-set"), "contract-label-set"),
        (InputError("The disk is full", code="disk-full"), None),  # may have passed when the round comes
        (None, None),
    ):
        session.refused = refused
        declare_ready(session, "third")
        lease = read_message(session.store, session_key(PARTY, played.run), Session)
        assert lease.ready
        assert lease.refusal == code
        assert lease.reason == (str(refused) if code else "")


FORBIDDEN = PolicyForbids("The policy of the party forbids the run", fix="change the recipe")


def begun(played):
    """A session that has not joined yet, of a party of a run that nobody has joined."""
    session = PartySession(played.run, load_role_settings(played.home, PARTY))
    find_predecessor(session)
    return session


def standing(session):
    lease = read_message(session.store, session_key(PARTY, session.run), Session)
    return lease.session, lease.refusal


@pytest.fixture
def fresh(played):
    return FinishedRun(played.home, f"declined-{next(NUMBERS)}")


def test_a_session_that_fails_late_takes_the_lease_from_no_later_one(fresh):
    older, newer = joined(fresh, "older"), joined(fresh, "newer")
    declare_ready(newer, "newer")
    decline.fn(older, "older", FORBIDDEN)
    assert standing(newer) == ("newer", None)


def test_a_session_that_never_had_the_lease_takes_it_from_no_later_one(fresh):
    older = begun(fresh)
    newer = joined(fresh, "newer")
    decline.fn(older, "older", FORBIDDEN)
    assert standing(newer) == ("newer", None)


def test_a_session_declines_where_there_is_no_lease_and_in_its_own(fresh):
    session = begun(fresh)
    decline.fn(session, "first", FORBIDDEN)
    assert standing(session) == ("first", "policy-forbids")
    other = PolicyForbids("The policy of the party forbids it still", code="policy-forbids-still")
    decline.fn(session, "first", other)
    assert standing(session) == ("first", "policy-forbids-still")


def test_a_session_declines_in_place_of_the_one_before_it(fresh):
    """A party that declined once is started once more, and may decline again."""
    declare_ready(joined(fresh, "before"), "before")
    session = begun(fresh)
    decline.fn(session, "after", FORBIDDEN)
    assert standing(session) == ("after", "policy-forbids")
