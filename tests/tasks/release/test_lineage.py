"""The lineage record in the real store: made of a finished run's own messages, signed, written once."""

from functools import partial

import pytest

from fedmodels.errors import FedcartError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.retraining import RetrainingRequest
from fedmodels.protocol.withdrawal import WithdrawnMark
from infra.keys import load_private_key, public_key
from infra.layout import plan_key, receipt_key, release_key, retraining_key, round_key
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tasks.release.answering import approve
from tasks.release.kept import kept_model
from tasks.release.lineage import read_lineage, record_lineage
from tasks.release.marks import mark_key
from tasks.release.promoting import promote
from tasks.release.reading import read_champion, read_release, read_report
from tasks.release.requesting import open_release
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun


@pytest.fixture(scope="module")
def key(home):
    return load_private_key(load_role_settings(home, "coordinator").signing_key)


@pytest.fixture
def run(opened) -> FinishedRun:
    """Three rounds: all count; fine-tuned, without shop-c; shop-b counts with what it was late with."""
    opened.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
    refused = {"shop-b": "late", "shop-c": "contract-failed"}
    opened.play(2, {"shop-a": 2}, refused, accuracy=0.72, tuned=True, late=("shop-b",))
    opened.play(3, {"shop-a": 3, "shop-b": 2, "shop-c": 3}, discount=0.5, accuracy=0.75)
    opened.close()
    return opened


def asked(run: FinishedRun, ticket: str = "ticket", **facts) -> int:
    """A release of its own recipe name, with a report, of the run's kept model."""
    kept = kept_model(run.store, run.run)
    request = open_release(
        run.store,
        f"tiny-{run.run}",
        ticket,
        run=run.run,
        round_number=kept.round,
        model_sha256=kept.sha256,
        reason="asked by hand",
    )
    reported(run.store, request, **facts)
    return request.release


def found(run: FinishedRun):
    return read_report(run.store, f"tiny-{run.run}", 1)


def code_of(kind: type[FedcartError], call, *arguments) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments)
    return caught.value.code


def test_it_names_all_that_made_the_model(run, key):
    asked(run)
    lineage = record_lineage(run.store, key, found(run))
    assert (lineage.run, lineage.round, lineage.model_sha256) == (run.run, 3, run.head.best_model_sha256)
    assert lineage.plan_sha256 == sha256_hex(run.store.read(plan_key(run.run)))
    assert lineage.training == run.plan.recipe
    assert lineage.base_model_sha256 == run.plan.base_model_sha256
    assert lineage.report_sha256 == found(run).sha256
    assert [each.round for each in lineage.rounds] == [1, 2, 3]
    for each in lineage.rounds:
        assert each.decision_sha256 == sha256_hex(run.store.read(round_key(run.run, each.round, "decision")))
        assert each.record_sha256 == sha256_hex(run.store.read(round_key(run.run, each.round, "record")))
    assert [[update.party for update in each.accepted] for each in lineage.rounds] == [
        list(PARTIES),
        ["shop-a"],
        list(PARTIES),
    ]
    assert lineage.rounds[1].fine_tuning.kept
    assert {(version.party, version.rounds) for version in lineage.data} == {
        ("shop-a", (1, 2, 3)),
        ("shop-b", (1, 2)),
        ("shop-c", (1, 3)),
    }
    assert all((version.train_rows, version.holdout_rows) == (50, 10) for version in lineage.data)
    assert lineage.missing == () and lineage.drift is None and lineage.privacy == {}


def test_a_release_is_promoted_with_its_record_and_the_word_on_it_stands_there(run, key):
    asked(run, approval="person")
    approve(run.store, f"tiny-{run.run}", 1, "ann", "looks right")
    promote(run.store, f"tiny-{run.run}", 1, "ann", partial(record_lineage, run.store, key))
    lineage = read_lineage(run.store, found(run), public_key(key))
    assert (lineage.approval.by, lineage.approval.comment) == ("ann", "looks right")
    assert lineage.checks == found(run).report.checks


def test_a_champion_of_before_gets_its_record_when_it_is_promoted_again(run, key):
    asked(run)
    recipe, place = f"tiny-{run.run}", release_key(f"tiny-{run.run}", 1, "lineage")
    champion = promote(run.store, recipe, 1, "ann", undocumented)
    assert not run.store.exists(place)
    assert promote(run.store, recipe, 1, "ben", partial(record_lineage, run.store, key)) == champion
    assert read_lineage(run.store, found(run), public_key(key)).model_sha256 == champion.model_sha256


def test_what_is_refused_leaves_no_record(run, key):
    asked(run, verdict="failed")
    document = partial(record_lineage, run.store, key)
    assert (
        code_of(RunConflict, promote, run.store, f"tiny-{run.run}", 1, "ann", document) == "release-refused"
    )
    with pytest.raises(RunConflict) as caught:
        read_lineage(run.store, found(run), public_key(key))
    assert caught.value.code == "lineage-missing"
    assert f"only a release that was promoted has one; see fedcart release show tiny-{run.run} 1" in str(
        caught.value
    ), "promote would refuse it"


@pytest.mark.parametrize("how", ["ready", "withdrawn", "champion"])
def test_who_has_no_record_is_told_to_promote_only_where_that_is_taken(run, key, how):
    asked(run)
    recipe = f"tiny-{run.run}"
    if how == "withdrawn":
        mark = WithdrawnMark(
            recipe=recipe,
            release=1,
            party="shop-a",
            number=1,
            notice_sha256="a" * 64,
            leaves=False,
            from_round=1,
            run=run.run,
        )
        create_signed(run.store, mark_key(mark), mark, key)
    elif how == "champion":
        promote(run.store, recipe, 1, "ann", undocumented)
    with pytest.raises(RunConflict) as caught:
        read_lineage(run.store, found(run), public_key(key))
    assert ("fedcart release promote" in caught.value.fix) is (how in ("ready", "champion"))


def test_it_is_written_once(run, key):
    asked(run)
    first = record_lineage(run.store, key, found(run))
    stored = run.store.read(release_key(f"tiny-{run.run}", 1, "lineage"))
    for party in PARTIES:
        run.stores[party].delete(receipt_key(party, run.run, 1))
    assert record_lineage(run.store, key, found(run)) == first, "the one that stands is adopted"
    assert run.store.read(release_key(f"tiny-{run.run}", 1, "lineage")) == stored


def test_a_receipt_that_its_party_took_away_is_named(run, key):
    asked(run)
    place = receipt_key("shop-b", run.run, 1)
    run.stores["shop-b"].delete(place)
    lineage = record_lineage(run.store, key, found(run))
    assert lineage.missing == (place,)
    assert {version.rounds for version in lineage.data if version.party == "shop-b"} == {(2,)}


def test_a_model_has_learned_nothing_of_the_rounds_after_its_own_or_that_were_refused(opened, key):
    opened.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
    opened.play(2, {"shop-a": 2}, {"shop-b": "late", "shop-c": "late"})
    opened.play(3, dict.fromkeys(PARTIES, 3), accuracy=0.75)
    opened.play(4, dict.fromkeys(PARTIES, 4), accuracy=0.72)
    opened.close()
    asked(opened)
    opened.stores["shop-a"].delete(receipt_key("shop-a", opened.run, 4))
    opened.stores["shop-a"].delete(receipt_key("shop-a", opened.run, 2))
    lineage = record_lineage(opened.store, key, found(opened))
    assert [each.round for each in lineage.rounds] == [1, 2, 3, 4]
    assert {version.rounds for version in lineage.data} == {(1, 3)}
    assert lineage.missing == ()


def test_a_damaged_record_of_a_retraining_holds_up_no_release(run, key):
    asked(run)
    place = retraining_key("tiny", 900 + run.seed)
    run.store.put_blob(place, b"no retraining")
    try:
        assert record_lineage(run.store, key, found(run)).drift is None
    finally:
        run.store.delete(place)


def test_a_receipt_that_its_party_changed_is_not_believed(run, key):
    asked(run)
    place = receipt_key("shop-b", run.run, 1)
    changed = run.store.read(place).replace(b'\\"train_rows\\":50', b'\\"train_rows\\":51')
    assert changed != run.store.read(place)
    run.stores["shop-b"].put_blob(place, changed)
    assert record_lineage(run.store, key, found(run)).missing == (place,)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_decision_that_is_not_the_records_ends_it(run, key, damage):
    asked(run)
    place = round_key(run.run, 2, "decision")
    data = run.store.read(place)
    run.store.delete(place)
    if damage == "changed":
        run.store.put_blob(place, data.replace(b'"weight":1.0', b'"weight":0.5'))
    assert code_of(IntegrityError, record_lineage, run.store, key, found(run)) == "chain-broken"


@pytest.mark.parametrize("forged", ["by another key", "of another report", "changed"])
def test_a_forged_record_promotes_nothing(run, key, forged):
    asked(run)
    recipe, place = f"tiny-{run.run}", release_key(f"tiny-{run.run}", 1, "lineage")
    record_lineage(run.store, run.keys["shop-a"] if forged == "by another key" else key, found(run))
    if forged == "changed":
        run.store.put_blob(place, run.store.read(place).replace(b"shop-a", b"shop-x"))
    elif forged == "of another report":
        report = found(run).report.model_copy(update={"approval_deadline": 1.0})
        run.store.put_blob(release_key(recipe, 1, "report"), canonical_json(report))
    document = partial(record_lineage, run.store, key)
    assert code_of(IntegrityError, promote, run.store, recipe, 1, "ann", document) == "lineage-invalid"
    assert read_champion(run.store, recipe) is None


@pytest.mark.parametrize("left", [b"no record", b'{"payload":"{}","signature":""}'])
def test_what_is_no_record_ends_its_release_and_the_next_proposal_takes_a_new_number(run, key, left):
    asked(run)
    recipe = f"tiny-{run.run}"
    run.store.put_blob(release_key(recipe, 1, "lineage"), left)
    document = partial(record_lineage, run.store, key)
    with pytest.raises(IntegrityError, match="run fedcart release propose with its run") as caught:
        promote(run.store, recipe, 1, "ann", document)
    assert caught.value.code == "lineage-invalid"
    view = read_release(run.store, recipe, 1)
    assert (view.standing, view.refusal.code) == ("cannot be promoted", "lineage-invalid")
    assert asked(run, ticket="another") == 2
    assert promote(run.store, recipe, 2, "ann", document).release == 2


def test_the_drift_that_was_answered_stands_in_it(run, key):
    asked(run)
    told = {"parties": ("shop-b",), "notices": ("parties/shop-b/drift/x.json",), "reason": "drift at shop-b"}
    for number, begun in enumerate((run.run, "another-run"), start=1):
        create_message(
            run.store,
            retraining_key("tiny", number + 10 * run.seed),
            RetrainingRequest(
                recipe="tiny",
                number=number + 10 * run.seed,
                ticket="t",
                run=begun,
                champion_sha256="0" * 64,
                **told,
            ),
        )
    drift = record_lineage(run.store, key, found(run)).drift
    assert (drift.number, drift.parties, drift.reason) == (1 + 10 * run.seed, ("shop-b",), "drift at shop-b")
