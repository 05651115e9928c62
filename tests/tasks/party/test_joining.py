"""Which session of a party goes on: the one with the lease. Another leaves, whether a round comes or not."""

import pytest

from fedmodels.errors import DataRefused, InputError
from fedmodels.protocol.messages import Session
from infra.layout import session_key
from infra.settings import load_role_settings
from tasks.exchange import read_message
from tasks.party import joining
from tasks.party.joining import declare_ready, holds_lease, next_announcement
from tasks.party.session import PartySession
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

PARTY = "shop-a"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield FinishedRun(home, "joined-1")


def joined(played, session_id):
    session = PartySession(played.run, load_role_settings(played.home, PARTY))
    session.plan = played.plan
    joining._take_lease(session, Session(run=played.run, party=PARTY, session=session_id))
    return session


def test_a_session_that_lost_its_lease_leaves_before_a_round_comes(played):
    first = joined(played, "first")
    second = joined(played, "second")
    assert next_announcement(first, "first", after=0) is None  # long before its idle timeout, or the test's
    declare_ready(first, "first")
    assert holds_lease(second, "second"), "one that lost its lease took it back"
    announced = played.announce(1)
    assert next_announcement(second, "second", after=0) == announced


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
