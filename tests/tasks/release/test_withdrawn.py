"""Withdrawals at the coordinator: which releases they touch, and what becomes of those."""

from functools import partial
from types import SimpleNamespace

import pytest

from fedmodels.errors import IntegrityError, RunConflict
from fedmodels.model_card import model_card
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Signed, StartingModel
from fedmodels.protocol.withdrawal import WithdrawalNotice
from infra.keys import load_private_key, public_key
from infra.layout import (
    head_key,
    known_withdrawal_key,
    plan_key,
    release_key,
    round_key,
    withdrawal_key,
)
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tasks.release.further import withdrawn
from tasks.release.hearing import hear_withdrawals, mark_by_copies
from tasks.release.kept import kept_model
from tasks.release.lineage import record_lineage
from tasks.release.marks import read_marks
from tasks.release.promoting import promote, rollback
from tasks.release.reading import read_release
from tasks.release.requesting import open_release
from tasks.release.steps import promote_release
from tasks.release.withdrawn import known_notices, mark_release, touches_of
from tests.tasks.release.released_models import proposed, reported, undocumented
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun


@pytest.fixture(scope="module")
def key(home):
    return load_private_key(load_role_settings(home, "coordinator").signing_key)


@pytest.fixture
def run(opened) -> FinishedRun:
    """Round 1 without shop-c; round 2 with all; the gate refuses round 3."""
    opened.play(1, {"shop-a": 1, "shop-b": 1}, {"shop-c": "contract-failed"}, accuracy=0.7)
    opened.play(2, dict.fromkeys(PARTIES, 2), accuracy=0.75)
    opened.play(3, dict.fromkeys(PARTIES, 3), accuracy=0.5)
    opened.close()
    return opened


def recipe_of(run: FinishedRun) -> str:
    return f"tiny-{run.run}"


def tell(run: FinishedRun, party: str, *rounds: int, number: int = 1, signed_by: str = "", **facts) -> str:
    notice = WithdrawalNotice(
        party=party,
        recipe=recipe_of(run),
        number=number,
        leaves=facts.get("leaves", False),
        withdrawal="a" * 64,
        receipts=tuple({"run": facts.get("of", run.run), "round": each} for each in rounds),
    )
    place = withdrawal_key(party, recipe_of(run), number)
    create_signed(run.stores[party], place, notice, run.keys[signed_by or party])
    return place


def asked(run: FinishedRun, round_number: int = 2, **facts) -> int:
    record = run.records[round_number - 1]
    request = open_release(
        run.store,
        recipe_of(run),
        f"ticket-{round_number}",
        run=run.run,
        round_number=round_number,
        model_sha256=record.model_sha256,
    )
    reported(run.store, request, **facts)
    return request.release


def hear(run, key):
    return hear_withdrawals(run.store, key, {})


def refused(call, *arguments, **options) -> RunConflict:
    with pytest.raises(RunConflict) as caught:
        call(*arguments, **options)
    assert caught.value.code == "release-withdrawn"
    return caught.value


def test_a_release_that_learned_from_it_is_marked_and_promoted_no_more(run, key):
    release = asked(run)
    tell(run, "shop-c", 2)
    heard = hear(run, key)
    assert [each.party for each in heard.notices] == ["shop-c"]
    view = read_release(run.store, recipe_of(run), release)
    (mark,) = view.marks
    assert (mark.run, mark.party, mark.from_round) == (run.run, "shop-c", 2)
    assert view.in_words == "ready, withdrawn"
    assert view.document()["withdrawn"][0]["party"] == "shop-c"
    said = refused(promote, run.store, recipe_of(run), release, "ann", undocumented)
    assert "from round 2 of" in said.sentence and "rows that shop-c withdrew" in said.sentence
    assert read_marks(run.store, recipe_of(run), release, public_key(key)) == view.marks
    assert hear(run, key).notices == (), "it is heard once"


def test_nobody_is_asked_for_a_word_on_it(run, key):
    """Neither by the flow, nor by whoever would promote it without one."""
    release = asked(run, approval="person")
    tell(run, "shop-c", 2)
    tell(run, "shop-a", 2)
    hear(run, key)
    said = refused(promote, run.store, recipe_of(run), release, "ann", undocumented)
    assert said.code == "release-withdrawn"
    assert "rows that shop-a withdrew; it learned, from" in said.sentence


def test_the_flow_hears_before_it_promotes(run, key, home):
    release = asked(run)
    tell(run, "shop-c", 2)
    desk = SimpleNamespace(store=run.store, signing_key=key, model_key=None, party_keys={}, folder=home)
    report = read_release(run.store, recipe_of(run), release).found.report
    refused(promote_release.fn, desk, report, "ann")


def test_a_model_of_before_is_left_alone(run, key):
    release = asked(run, round_number=1)
    tell(run, "shop-c", 2, 3)
    hear(run, key)
    assert read_release(run.store, recipe_of(run), release).marks == ()
    assert promote(run.store, recipe_of(run), release, "ann", undocumented).release == release


def test_an_update_that_counted_only_in_a_refused_round_touches_nothing(run, key):
    release = asked(run)
    tell(run, "shop-a", 3)
    hear(run, key)
    assert promote(run.store, recipe_of(run), release, "ann", undocumented).release == release


def test_a_champion_stays_and_nothing_returns_to_it_once_it_was_left(run, key):
    first = asked(run)
    promote(run.store, recipe_of(run), first, "ann", partial(record_lineage, run.store, key))
    tell(run, "shop-a", 2, leaves=True)
    hear(run, key)
    view = read_release(run.store, recipe_of(run), first)
    assert view.in_words == "champion, withdrawn"
    promote(run.store, recipe_of(run), first, "ann", undocumented)  # it is: nothing moves
    later = proposed(run.store, recipe_of(run), "later")
    promote(run.store, recipe_of(run), later, "ann", undocumented)
    refused(rollback, run.store, recipe_of(run), "ann")
    refused(rollback, run.store, recipe_of(run), "ann", to=first)


def test_the_notice_holds_though_its_party_takes_it_back_and_the_mark_is_lost(run, key):
    release = asked(run)
    place = tell(run, "shop-b", 1)
    hear(run, key)
    run.stores["shop-b"].delete(place)
    run.store.delete(release_key(recipe_of(run), release, "withdrawn-shop-b-0001"))
    refused(promote, run.store, recipe_of(run), release, "ann", undocumented)


def test_whoever_dies_before_the_copy_is_followed_by_one_who_marks_again(run, key):
    release = asked(run)
    tell(run, "shop-b", 1)
    hear(run, key)
    copy = known_withdrawal_key("shop-b", recipe_of(run), 1)
    run.store.delete(copy)
    assert len(hear(run, key).notices) == 1
    assert run.store.exists(copy)
    assert len(read_marks(run.store, recipe_of(run), release)) == 1


def test_a_release_that_is_proposed_later_fails_its_check_and_is_marked(run, key):
    tell(run, "shop-c", 2)
    desk = SimpleNamespace(store=run.store, signing_key=key, party_keys={})
    kept = kept_model(run.store, run.run)
    renamed = kept.plan.model_copy(
        update={"recipe": kept.plan.recipe.model_copy(update={"name": recipe_of(run)})}
    )
    (check,) = withdrawn(desk, SimpleNamespace(plan=renamed, run=kept.run, round=kept.round))
    assert (check.name, check.verdict, check.value) == ("withdrawn", "failed", 1.0)
    assert "rows that shop-c withdrew" in check.sentence
    (check,) = withdrawn(desk, SimpleNamespace(plan=renamed, run=kept.run, round=1))
    assert (check.verdict, check.sentence) == ("passed", "It learned from nothing that was withdrawn.")
    release = asked(run)
    stored = run.store.read(known_withdrawal_key("shop-c", recipe_of(run), 1))
    notice = WithdrawalNotice.model_validate_json(Signed.model_validate_json(stored).payload)
    assert len(mark_release(run.store, key, recipe_of(run), release, (notice,))) == 1


def test_what_a_party_did_not_sign_is_refused_and_touches_nothing(run, key):
    release = asked(run)
    tell(run, "shop-b", 1, signed_by="shop-a")
    run.stores["shop-c"].put_blob(withdrawal_key("shop-c", recipe_of(run), 1), b"{")
    run.stores["shop-c"].put_blob(f"parties/shop-c/withdrawals/{recipe_of(run)}/junk", b"{")
    heard = hear(run, key)
    assert heard.notices == ()
    assert {(each.code, "shop" in str(each)) for each in heard.refused} == {("withdrawal-invalid", True)}
    assert len(heard.refused) >= 2
    assert promote(run.store, recipe_of(run), release, "ann", undocumented).release == release
    for party in ("shop-b", "shop-c"):
        run.stores[party].delete(withdrawal_key(party, recipe_of(run), 1))


def test_a_damaged_run_holds_up_nobodys_right(run, key):
    release = asked(run)
    tell(run, "shop-a", 2)
    place = round_key(run.run, 1, "decision")
    data = run.store.read(place)
    run.store.put_blob(place, b"{}")
    heard = hear(run, key)
    assert len(heard.notices) == 1
    assert [error.code for error in heard.damaged] == ["chain-broken"]
    run.store.put_blob(place, data)
    refused(promote, run.store, recipe_of(run), release, "ann", undocumented)


def test_what_could_not_be_marked_is_marked_once_the_run_is_restored(run, key):
    release = asked(run)
    tell(run, "shop-a", 2)
    place = round_key(run.run, 1, "decision")
    data = run.store.read(place)
    run.store.put_blob(place, b"{}")
    hear(run, key)
    assert [error.code for error in mark_by_copies(run.store, key)].count("chain-broken") == 1
    run.store.put_blob(place, data)
    assert hear(run, key).notices == (), "it is heard once"
    assert read_marks(run.store, recipe_of(run), release) == ()
    assert mark_by_copies(run.store, key) == ()
    assert [mark.party for mark in read_marks(run.store, recipe_of(run), release)] == ["shop-a"]


def test_a_copy_that_is_damaged_is_put_again_from_the_partys_own_notice(run, key):
    release = asked(run)
    tell(run, "shop-c", 2)
    hear(run, key)
    copy = known_withdrawal_key("shop-c", recipe_of(run), 1)
    whole = run.store.read(copy)
    for damaged in (b"{", b""):
        run.store.put_blob(copy, damaged)
        with pytest.raises(IntegrityError):
            known_notices(run.store, recipe_of(run))
        heard = hear(run, key)
        assert ([each.party for each in heard.restored], heard.notices) == (["shop-c"], ())
        assert run.store.read(copy) == whole
    refused(promote, run.store, recipe_of(run), release, "ann", undocumented)


def test_no_other_notice_takes_the_place_of_one_that_releases_are_marked_for(run, key):
    asked(run)
    place = tell(run, "shop-c", 2)
    hear(run, key)
    run.store.put_blob(known_withdrawal_key("shop-c", recipe_of(run), 1), b"{")
    run.stores["shop-c"].delete(place)
    tell(run, "shop-c", 3)
    heard = hear(run, key)
    assert (heard.restored, [error.code for error in heard.faults]) == ((), ["message-invalid"])
    assert "shop-c has put another notice in the place of its own" in heard.damaged[0].sentence
    run.stores["shop-c"].delete(place)


def test_a_request_that_is_gone_holds_up_nobodys_right(run, key):
    gone, release = asked(run, round_number=1), asked(run)
    run.store.delete(release_key(recipe_of(run), gone, "request"))
    tell(run, "shop-a", 2)
    heard = hear(run, key)
    assert len(heard.notices) == 1
    assert [error.code for error in heard.damaged] == ["release-unknown"]
    refused(promote, run.store, recipe_of(run), release, "ann", undocumented)


def test_a_damaged_plan_that_a_notice_names_holds_up_nobodys_right(run, key):
    asked(run)
    damaged = f"{run.run}-damaged"
    run.store.put_blob(plan_key(damaged), b"{}")
    tell(run, "shop-a", 2, of=damaged)
    tell(run, "shop-b", 2)
    heard = hear(run, key)
    assert [each.party for each in heard.notices] == ["shop-b"]
    assert [each.code for each in heard.refused] == ["withdrawal-invalid"]
    run.store.delete(plan_key(damaged))
    run.stores["shop-a"].delete(withdrawal_key("shop-a", recipe_of(run), 1))


def test_the_lineage_tells_where_the_run_is_gone(run, key):
    release = asked(run)
    promote(run.store, recipe_of(run), release, "ann", partial(record_lineage, run.store, key))
    later = proposed(run.store, recipe_of(run), "later")
    promote(run.store, recipe_of(run), later, "ann", undocumented)
    place = tell(run, "shop-a", 2)
    envelope = run.stores["shop-a"].read(place)
    for gone in (plan_key(run.run), head_key(run.run)):
        run.store.delete(gone)
    hear_withdrawals(run.store, key, {"shop-a": public_key(run.keys["shop-a"])})
    assert run.store.read(known_withdrawal_key("shop-a", recipe_of(run), 1)) == envelope
    refused(rollback, run.store, recipe_of(run), "ann")


def test_a_mark_of_somebody_else_is_told(run, key):
    release = asked(run)
    tell(run, "shop-a", 2)
    hear(run, key)
    (mark,) = read_marks(run.store, recipe_of(run), release)
    payload = canonical_json(mark.model_copy(update={"from_round": 9})).decode()
    forged = canonical_json(Signed(payload=payload, signature="c2ln"))
    run.store.put_blob(release_key(recipe_of(run), release, "withdrawn-shop-a-0001"), forged)
    with pytest.raises(IntegrityError, match="is not signed with the coordinator's key"):
        read_marks(run.store, recipe_of(run), release, public_key(key))


def test_the_card_warns(run, key):
    release = asked(run)
    promote(run.store, recipe_of(run), release, "ann", partial(record_lineage, run.store, key))
    found = read_release(run.store, recipe_of(run), release).found
    lineage = record_lineage(run.store, key, found)
    assert "Withdrawn" not in model_card(lineage, found.report)
    tell(run, "shop-a", 1, 2)
    hear(run, key)
    card = model_card(lineage, found.report, read_marks(run.store, recipe_of(run), release))
    assert "**Withdrawn: do not use it.** The model learned, from round 1 of" in card


def test_a_run_that_began_from_a_touched_model_is_touched_with_it(run, home, key):
    tell(run, "shop-c", 2)
    hear(run, key)
    notices = known_notices(run.store, recipe_of(run))
    for round_number, touched in ((2, True), (1, False)):
        name = f"{run.run}-from-{round_number}"
        model = run.records[round_number - 1].model_sha256
        start = StartingModel(run=run.run, round=round_number, model_sha256=model)
        plan = run.plan.model_copy(update={"run": name, "begins_from": start})
        create_message(run.store, plan_key(name), plan)
        found = touches_of(run.store, recipe_of(run), name, 1, notices)
        assert [touch.run for touch in found] == [run.run] * touched


def test_what_nobody_can_tell_of_a_run_counts(run, key):
    tell(run, "shop-c", 2)
    hear(run, key)
    notices = known_notices(run.store, recipe_of(run))
    for gone in (plan_key(run.run), head_key(run.run)):
        run.store.delete(gone)
    assert touches_of(run.store, recipe_of(run), run.run, 2, notices)
    assert not touches_of(run.store, recipe_of(run), run.run, 1, notices)
