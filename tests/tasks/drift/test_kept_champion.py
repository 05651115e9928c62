"""The rows of the champion and of open runs stay at the party, whatever is trained after them."""

from fedmodels.protocol.messages import Closed
from infra.layout import closed_key
from infra.settings import load_role_settings
from tasks.drift.checking import check_drift
from tasks.exchange import create_message
from tasks.party.data import keep_trained_rows, let_old_rows_go, prepare_data
from tasks.party.kept_rows import KEPT_TRAININGS, read_rows
from tasks.party.session import PartySession
from tests.tasks.drift.champion import REVIEWS, TWEETS, sentences


def train(made, number: int, *, close: bool = True) -> str:
    """Another run on other rows, whose model nobody releases; return the hash of its rows."""
    made.write("shop-a", "train", sentences(REVIEWS, 100, 100 + number))
    plan = made.announce()
    session = PartySession(plan.run, load_role_settings(made.home, "shop-a"))
    session.plan = plan
    prepare_data.fn(session)
    keep_trained_rows.fn(session)
    let_old_rows_go(session)
    if close:
        end(made)
    return session.data_hash


def end(made) -> None:
    """The run is over."""
    closed = Closed(run=made.run, status="finished", model_sha256="0" * 64, rounds=1, final=None, seconds=1.0)
    create_message(made.store, closed_key(made.run), closed)


def test_nine_trainings_later_the_standing_champion_has_its_rows_still(champion):
    made = champion()
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    made.release()
    end(made)
    hashes = [train(made, number) for number in range(KEPT_TRAININGS + 1)]
    folder = made.desk("shop-a").folder
    assert read_rows(folder, hashes[0], made.run) is None, "nobody refers to it any more"
    assert all(read_rows(folder, each, made.run) is not None for each in hashes[1:])
    made.write("shop-a", "fresh", sentences(TWEETS, 100, 7))
    assert "text" in check_drift(made.desk("shop-a")).report.drifted_features


def test_rows_of_an_open_run_stay_until_it_is_over(champion):
    made = champion()
    first = train(made, 0, close=False)
    hashes = [train(made, number) for number in range(1, KEPT_TRAININGS + 2)]
    folder = made.desk("shop-a").folder
    assert read_rows(folder, first, made.run) is not None
    assert read_rows(folder, hashes[0], made.run) is None
