"""A run that repeats another one trains on the tables that the party kept of that."""

import pytest

from fedmodels.errors import FedcartError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Receipt
from infra.keys import ensure_private_key
from infra.layout import plan_key, receipt_key
from infra.settings import PartyPolicy
from tasks.exchange import create_signed
from tasks.party.data import prepare_data
from tasks.party.pinned import pin_version
from tasks.party.repeating import bring_back_data
from tasks.party.versions import pushing
from tasks.party.versions.bringing_back import list_versions
from tests.tasks.party.test_data import ROWS, make_session, write

OTHER_ROWS = ROWS[:30]
BUCKET = {}


class Bucket:
    """What of a store is asked here, in `BUCKET`."""

    def create(self, key, data):
        return BUCKET.setdefault(key, data)

    def read(self, key, limit=None, *, checked=True):
        return BUCKET.get(key)

    def list_keys(self, prefix):
        return (key for key in sorted(BUCKET) if key.startswith(prefix))


@pytest.fixture(autouse=True)
def no_store(monkeypatch):
    """Nothing is pushed, and the plan of the first run is the one that `make_session` makes."""
    monkeypatch.setattr(pushing, "push_versions", lambda desk, recipe: None)
    yield
    BUCKET.clear()


def pinned_run(session, run="run-1"):
    session.run, session.store = run, Bucket()
    BUCKET[plan_key(run)] = canonical_json(session.plan)
    prepare_data.fn(session)
    pin_version.fn(session)
    leave_receipt(session)
    return session.data_hash


def leave_receipt(session, key=None, **changes):
    """As a session does that sat out, say: any receipt names the plan."""
    plan_sha256 = sha256_hex(BUCKET[plan_key(session.run)])
    receipt = Receipt(
        run=session.run,
        round=1,
        party="shop-a",
        plan_sha256=plan_sha256,
        base_sha256="0" * 64,
        update_sha256=None,
        seconds={},
        refusal="contract-failed",
    ).model_copy(update=changes)
    create_signed(session.store, receipt_key("shop-a", session.run, 1), receipt, key or session.signing_key)


def session_again(tmp_path, of="run-1"):
    """A session of a later run that repeats the first one; the table was written anew meanwhile."""
    session = make_session(tmp_path)
    session.store = Bucket()
    write(tmp_path / "train.csv", OTHER_ROWS)
    session.run, session.plan = "run-9", session.plan.model_copy(update={"run": "run-9", "repeats": of})
    return session


def test_it_trains_on_the_rows_of_then(tmp_path):
    then = pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    assert bring_back_data.fn(session) == 1
    prepare_data.fn(session)
    assert session.data_hash == then
    assert session.tables.train.parent == session.own_folder / "tables"
    assert session.tables.train.parent.stat().st_mode & 0o077 == 0


def test_no_version_is_made_of_it_and_the_old_one_knows_the_run(tmp_path):
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    bring_back_data.fn(session)
    prepare_data.fn(session)
    assert pin_version.fn(session) == 1
    assert session.pinned == session.brought_back.version
    assert [each.runs for each in list_versions(session.versions, "own")] == [("run-1", "run-9")]


def test_what_the_party_expects_of_its_tables_is_what_it_expects_today(tmp_path):
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    expected = session.tables.model_copy(update={"expectations": tmp_path / "expectations.yaml"})
    session._tables = {"own": expected}
    bring_back_data.fn(session)
    assert session.tables.expectations == expected.expectations


def test_of_a_run_that_it_kept_nothing_of_it_trains_on_todays_rows(tmp_path):
    then = pinned_run(make_session(tmp_path))
    session = session_again(tmp_path, of="run-2")
    assert bring_back_data.fn(session) is None
    prepare_data.fn(session)
    assert session.data_hash != then


def test_of_a_run_whose_tables_changed_meanwhile_it_trains_on_todays_rows(tmp_path):
    session = make_session(tmp_path)
    pinned_run(session)
    write(tmp_path / "train.csv", ROWS[:20])
    pinned_run(session)
    repeated = session_again(tmp_path)
    assert bring_back_data.fn(repeated) is None
    assert repeated.tables.train == tmp_path / "train.csv"


def test_a_version_that_cannot_be_had_leaves_todays_rows(tmp_path):
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    for kept in (session.versions.root / ".dvc" / "cache").rglob("*"):
        if kept.is_file():
            kept.chmod(0o600)
            kept.unlink()
    with pytest.raises(FedcartError):
        bring_back_data.fn(session)
    assert session.brought_back is None
    assert session.tables.train == tmp_path / "train.csv"


def test_a_party_that_does_not_want_to_trains_on_todays_rows(tmp_path):
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    session.policy = PartyPolicy(repeat_on_versions=False)
    assert bring_back_data.fn(session) is None


@pytest.mark.parametrize("known", [True, False], ids=["another recipe", "no such run"])
def test_what_only_says_that_it_repeats_a_run_gets_no_rows_of_then(tmp_path, known):
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    if known:
        greedy = session.plan.recipe.model_copy(update={"num_rounds": session.plan.recipe.num_rounds + 1})
        session.plan = session.plan.model_copy(update={"recipe": greedy})
    else:
        del BUCKET[plan_key("run-1")]
    assert bring_back_data.fn(session) is None


def test_a_plan_that_was_put_in_place_of_the_one_of_then_gets_no_rows_of_then(tmp_path):
    """The coordinator can write it, and a recipe with more rounds that says it repeats that run."""
    pinned_run(make_session(tmp_path))
    session = session_again(tmp_path)
    assert bring_back_data.fn(session) == 1
    greedy = session.plan.recipe.model_copy(update={"num_rounds": session.plan.recipe.num_rounds + 50})
    session = session_again(tmp_path)
    session.plan = session.plan.model_copy(update={"recipe": greedy})
    before = session.plan.model_copy(update={"run": "run-1", "repeats": None})
    BUCKET[plan_key("run-1")] = canonical_json(before)
    assert bring_back_data.fn(session) is None
    assert session.brought_back is None


@pytest.mark.parametrize(
    "changes",
    [None, {"key": True}, {"run": "run-2"}, {"party": "shop-b"}, {"plan_sha256": None}],
    ids=["gone", "foreign signature", "another run's", "another party's", "names no plan"],
)
def test_without_a_receipt_of_its_own_it_trains_on_todays_rows(tmp_path, changes):
    session = make_session(tmp_path)
    pinned_run(session)
    del BUCKET[receipt_key("shop-a", "run-1", 1)]
    if changes is not None:
        foreign = ensure_private_key(tmp_path / "foreign.pem") if changes.get("key") else None
        leave_receipt(session, **{**changes, "key": foreign})
    assert bring_back_data.fn(session_again(tmp_path)) is None
