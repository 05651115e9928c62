"""A withdrawal is answered with a training without it, once, as long as there are parties and room for it."""

import logging
from types import SimpleNamespace

import pytest

from fedmodels.errors import IntegrityError, QuorumMissed, RunConflict
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Closed, Plan, StartingModel
from fedmodels.protocol.retraining import RetrainingRequest, RunAge, retraining_tags
from fedmodels.protocol.withdrawal import WithdrawalNotice
from fedmodels.protocol.withdrawal_retraining import (
    WITHDRAWAL,
    WithdrawalFacts,
    check_withdrawal,
    is_withdrawal,
)
from infra.deployments.observing import GoingRetraining
from infra.keys import load_private_key
from infra.layout import (
    closed_key,
    model_key,
    plan_key,
    release_key,
    retraining_key,
    round_key,
    withdrawal_key,
)
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tasks.release.answering import reject
from tasks.release.lineage import note_spoilt
from tasks.release.promoting import promote
from tasks.release.reading import read_release, read_report
from tasks.release.requesting import open_release
from tasks.release.withdrawn import known_notices
from tasks.retraining import steps, withdrawing
from tasks.retraining.steps import start
from tasks.retraining.watching import WatchDesk
from tasks.retraining.withdrawing import start_if_due
from tasks.retraining.without import ask_without_withdrawn, last_that_never_saw
from tests.store_alone import store_alone
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.retraining.conftest import NUMBERS
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

FACTS = {"recipe": "tiny", "touching": ("k",), "answered": None, "left": ("a", "b"), "needed": 2}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"touching": ()}, "withdrawal-nothing"),
        ({"answered": "again-1"}, "withdrawal-answered"),
        ({"runs": (RunAge("r", 5.0, open=True),)}, "withdrawal-run-open"),
        ({"runs": (RunAge("r", 5.0, open=True, conducted=False),)}, "withdrawal-run-stopped"),
        ({"budget": "ε would be 9"}, "drift-budget"),
    ],
)
def test_what_keeps_one_from_beginning(changes, code):
    check_withdrawal(WithdrawalFacts(**FACTS))
    with pytest.raises(RunConflict) as caught:
        check_withdrawal(WithdrawalFacts(**{**FACTS, **changes}))
    assert caught.value.code == code


def test_too_few_parties_are_one_sentence():
    with pytest.raises(
        QuorumMissed, match=r"1 party of tiny is left, and min_available_parties is 2"
    ) as caught:
        check_withdrawal(WithdrawalFacts(**{**FACTS, "left": ("a",)}))
    assert caught.value.code == "withdrawal-parties"
    assert "fedcart train --recipe FILE, the file of tiny" in caught.value.fix
    assert is_withdrawal({"cause": "withdrawal"}) and not is_withdrawal({"party": "a"})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def scene(home, monkeypatch):
    """A champion of two rounds, of which shop-c had a part in the second; Prefect's server, played."""
    number = next(NUMBERS)
    run = FinishedRun(home, f"rights-{number}", seed=number, changes={"name": f"rights-{number}"})
    run.play(1, {"shop-a": 1, "shop-b": 1}, {"shop-c": "contract-failed"}, accuracy=0.7)
    run.play(2, dict.fromkeys(PARTIES, 2), accuracy=0.75)
    run.close()
    recipe = run.plan.recipe.name
    facts = {"round_number": 2, "model_sha256": run.head.best_model_sha256}
    request = open_release(run.store, recipe, "t", run=run.run, **facts)
    reported(run.store, request)
    promote(run.store, recipe, 1, "ann", undocumented)
    made = SimpleNamespace(run=run, recipe=recipe, store=run.store, started=[], going=(), shown=[])
    made.desk = WatchDesk(load_role_settings(home, "coordinator"))
    made.key = load_private_key(load_role_settings(home, "coordinator").signing_key)

    def start_retraining(name, reason, key, api_url=None):
        made.started.append((name, reason, key))

    monkeypatch.setattr(withdrawing, "start_retraining", start_retraining)
    monkeypatch.setattr(withdrawing, "unfinished_trainings", lambda _recipe, api_url=None: frozenset())
    monkeypatch.setattr(withdrawing, "unfinished_retrainings", lambda api_url=None: made.going)
    monkeypatch.setattr(
        withdrawing, "show_withdrawn", lambda *shown: made.shown.append((*shown[:2], len(shown[2])))
    )
    return made


def tell(scene, party="shop-c", number=1, **facts):
    run, recipe = scene.run, facts.get("recipe", scene.recipe)
    places = facts.get("places", [(facts.get("of", run.run), each) for each in facts.get("rounds", (2,))])
    notice = WithdrawalNotice(
        party=party,
        recipe=recipe,
        number=number,
        leaves=facts.get("leaves", False),
        withdrawal="a" * 64,
        receipts=tuple({"run": each, "round": round_number} for each, round_number in places),
    )
    create_signed(run.stores[party], withdrawal_key(party, recipe, number), notice, run.keys[party])


def looked(scene):
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    return start_if_due(scene.desk, scene.recipe)


def look(scene) -> bool:
    return looked(scene).started


def ask(scene, ticket="ticket", run="again-1"):
    return ask_without_withdrawn(scene.store, scene.recipe, ticket, run, unfinished=frozenset())


def test_a_champion_that_is_touched_is_trained_again_once(scene):
    assert not look(scene), "nothing was withdrawn"
    tell(scene)
    assert look(scene) and look(scene)
    assert scene.shown[-1] == (scene.recipe, 1, 1)
    ((name, reason, key), (_, _, same)) = scene.started
    assert (name, reason) == (scene.recipe, WITHDRAWAL)
    assert key == same, "Prefect makes one of the two"
    request = ask(scene)
    assert (request.parties, request.without, request.run) == (("shop-c",), (), "again-1")
    assert request.reason == "withdrawal: shop-c withdrew rows"
    untouched = StartingModel(run=scene.run.run, round=1, model_sha256=scene.run.records[0].model_sha256)
    assert request.begins_from == untouched, "the last model that never saw them"
    assert retraining_tags(request) == ["retraining:1", "reason:withdrawal", "withdrawal:shop-c"]
    assert ask(scene) == request, "the same ticket finds it"
    with pytest.raises(RunConflict) as caught:
        ask(scene, ticket="another")
    assert caught.value.code == "withdrawal-answered"
    waits = looked(scene).waits
    assert waits.code == "withdrawal-answered"
    assert "run again-1" in waits.sentence and "fedcart runs show again-1" in waits.fix


def test_one_whose_run_failed_has_answered_nothing(scene):
    tell(scene)
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    request = ask(scene, run=f"{scene.recipe}-x")
    plan = scene.run.plan.model_copy(update={"run": request.run})
    create_message(scene.store, plan_key(request.run), plan)
    assert not look(scene), "its run is open"
    closed = Closed(
        run=request.run, status="failed", model_sha256="0" * 64, rounds=0, final=None, seconds=1.0
    )
    create_message(scene.store, closed_key(request.run), closed)
    assert look(scene)
    assert ask(scene, ticket="next", run="again-2").number == 2


def trained(scene, request, parties=PARTIES) -> FinishedRun:
    """The run of a retraining, of one round, over."""
    run = FinishedRun(scene.run.home, request.run, seed=900 + next(NUMBERS), changes={"name": scene.recipe})
    run.play(1, dict.fromkeys(parties, 1), accuracy=0.7)
    run.close()
    return run


def test_one_that_learned_from_what_was_withdrawn_since_has_answered_nothing(scene):
    tell(scene)
    assert look(scene)
    run = trained(scene, ask(scene, run=f"{scene.recipe}-x"))
    assert not look(scene), "its model waits for a release"
    tell(scene, "shop-b", of=run.run, rounds=(1,))
    assert look(scene)
    request = ask(scene, ticket="next", run="again-2")
    assert (request.number, request.parties) == (2, ("shop-c",))


def test_one_of_which_nobody_can_tell_what_it_learned_from_has_answered_nothing(scene):
    tell(scene)
    assert look(scene)
    run = trained(scene, ask(scene, run=f"{scene.recipe}-x"))
    tell(scene, "shop-b", of=run.run, rounds=(2,))
    assert not look(scene), "no such update counts in it"
    scene.store.put_blob(round_key(run.run, 1, "decision"), b"{}")
    assert look(scene)


def test_a_party_that_left_takes_no_part(scene, monkeypatch):
    tell(scene, leaves=True)
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    request = ask(scene)
    assert request.without == ("shop-c",)
    asked = []
    monkeypatch.setattr(steps, "find_training", lambda _run: None)
    monkeypatch.setattr(steps, "start_training", lambda _recipe, _run, **facts: asked.append(facts))
    start.fn(SimpleNamespace(store=scene.store, recipe=scene.recipe), request)
    assert asked[0]["parties"] == ["shop-a", "shop-b"]
    assert asked[0]["begins_from"] == request.begins_from.model_dump(mode="json")


def test_where_every_round_saw_them_an_earlier_release_is_the_start_or_the_base_model(scene):
    tell(scene, "shop-a", rounds=(1,))
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    plan, notices = scene.run.plan, known_notices(scene.store, scene.recipe)
    assert last_that_never_saw(scene.store, plan, 1, notices) is None
    other = released(scene, "b")
    start = StartingModel(run=other.run, round=1, model_sha256=other.head.best_model_sha256)
    assert last_that_never_saw(scene.store, plan, 1, notices) == start


def released(scene, name, approval="none", **changes) -> FinishedRun:
    """Another run of the recipe, whose model passed the checks of a release."""
    name = f"{scene.recipe}-{name}"
    run = FinishedRun(scene.run.home, name, seed=900 + next(NUMBERS), changes={"name": scene.recipe})
    run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
    run.close()
    facts = {"round_number": 1, "model_sha256": run.head.best_model_sha256}
    reported(run.store, open_release(run.store, scene.recipe, name, run=name, **facts), approval=approval)
    if changes:
        run.store.put_blob(plan_key(name), canonical_json(run.plan.model_copy(update=changes)))
    return run


@pytest.mark.parametrize("why", ["rejected", "overdue", "spoilt", "pruned", "built otherwise", "forgotten"])
def test_no_release_is_the_start_that_was_refused_is_gone_or_of_another_model(scene, monkeypatch, why):
    tell(scene, "shop-a", rounds=(1,))
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    plan, notices, store = scene.run.plan, known_notices(scene.store, scene.recipe), scene.store
    good = released(scene, "b")
    person = why in ("rejected", "overdue")
    changes = {"parameters": plan.parameters[:1]} if why == "built otherwise" else {}
    newest = released(scene, "c", "person" if person else "none", **changes)
    if why == "rejected":
        reject(store, scene.recipe, 3, "ann", "not this one")
    elif why == "overdue":
        monkeypatch.setattr(type(store), "age", lambda *_: 3600.0)
    elif why == "spoilt":
        error = IntegrityError("It was altered", code="release-altered")
        note_spoilt(store, read_report(store, scene.recipe, 3).report, error)
    elif why == "pruned":
        store.delete(model_key(newest.head.best_model_sha256))
    elif why == "forgotten":
        store.delete(release_key(scene.recipe, 3, "request"))
    found = last_that_never_saw(store, plan, 1, notices)
    assert found is not None and found.run == good.run


def test_a_model_of_the_champions_run_that_is_gone_is_no_start(scene):
    tell(scene)
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    good = released(scene, "b")
    scene.store.delete(model_key(scene.run.records[0].model_sha256))
    found = last_that_never_saw(scene.store, scene.run.plan, 1, known_notices(scene.store, scene.recipe))
    assert found is not None and found.run == good.run


def held_up(scene, monkeypatch) -> list[str]:
    """Codes of what the watch says about this recipe that a person has to act on."""
    monkeypatch.setattr(withdrawing, "get_run_logger", lambda: logging.getLogger("watch"))
    monkeypatch.setattr(withdrawing, "released_recipes", lambda _store: [scene.recipe])
    return [error.code for error in withdrawing.answer_withdrawals.fn(scene.desk).held_up]


def test_too_few_left_wait_for_a_person(scene, monkeypatch):
    for party in ("shop-b", "shop-c"):
        tell(scene, party, leaves=True)
    assert looked(scene).waits.code == "withdrawal-parties"
    assert scene.started == []
    assert held_up(scene, monkeypatch) == ["withdrawal-parties"]


def test_an_open_run_that_nobody_conducts_is_told(scene, monkeypatch):
    tell(scene)
    plan: Plan = scene.run.plan.model_copy(update={"run": f"{scene.recipe}-open"})
    create_message(scene.store, plan_key(plan.run), plan)
    waits = looked(scene).waits
    assert (waits.code, plan.run in waits.sentence) == ("withdrawal-run-stopped", True)
    assert "end it with fedcart runs cancel" in waits.fix
    assert held_up(scene, monkeypatch) == ["withdrawal-run-stopped"]


def asking(scene, *, learned: bool, marked: bool = True) -> None:
    """A retraining because of drift asks a person: its release learned from what is withdrawn, or not."""
    run = released(scene, "drift", "person")
    scene.going = (GoingRetraining(run.run, scene.recipe, suspended=True),)
    places = [(scene.run.run, 2), *([(run.run, 1)] if learned else [])]
    tell(scene, places=places)
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    if not marked:
        scene.store.delete(release_key(scene.recipe, 2, "withdrawn-shop-c-0001"))


@pytest.mark.parametrize("marked", [True, False])
def test_a_release_that_learned_from_it_and_waits_for_a_person_holds_up_no_right(scene, marked):
    asking(scene, learned=True, marked=marked)
    assert look(scene)
    assert bool(read_release(scene.store, scene.recipe, 2).marks) is marked


def test_one_of_which_nobody_can_tell_what_it_learned_from_holds_up_no_right(scene):
    asking(scene, learned=True, marked=False)
    scene.store.put_blob(round_key(f"{scene.recipe}-drift", 1, "decision"), b"{}")
    assert look(scene)


def test_a_release_that_never_saw_it_and_waits_for_a_person_is_named(scene, monkeypatch):
    asking(scene, learned=False)
    waits = looked(scene).waits
    assert (waits.code, "Release 2 of" in waits.sentence) == ("withdrawal-release-waits", True)
    assert f"fedcart release approve {scene.recipe} 2" in waits.fix
    assert held_up(scene, monkeypatch) == ["withdrawal-release-waits"]
    reject(scene.store, scene.recipe, 2, "ann", "not this one")
    assert look(scene)


def test_a_champion_that_has_no_mark_yet_gets_it(scene):
    tell(scene)
    assert look(scene)
    scene.store.delete(release_key(scene.recipe, 1, "withdrawn-shop-c-0001"))
    assert look(scene)
    assert len(read_release(scene.store, scene.recipe, 1).marks) == 1


def test_a_retraining_that_is_under_way_is_named_and_needs_nobody(scene, monkeypatch):
    tell(scene)
    scene.going = (GoingRetraining("ticket", scene.recipe, suspended=False),)
    waits = looked(scene).waits
    assert waits.code == "withdrawal-run-open"
    assert waits.sentence == f"A retraining of {scene.recipe} is under way"
    ask(scene)
    waits = looked(scene).waits
    assert waits.code == "withdrawal-answered", "it is the answer"
    assert "run again-1" in waits.sentence
    assert held_up(scene, monkeypatch) == []
    scene.going = (GoingRetraining("another", "another-recipe", suspended=False),)
    assert looked(scene).waits.code == "withdrawal-answered"


def test_the_answer_that_waits_for_a_person_is_named(scene, monkeypatch):
    tell(scene)
    withdrawing.hear_withdrawals(scene.store, scene.key, {})
    run = trained(scene, ask(scene, "going", f"{scene.recipe}-x"), ("shop-a", "shop-b"))
    facts = {"round_number": 1, "model_sha256": run.head.best_model_sha256}
    reported(
        run.store, open_release(run.store, scene.recipe, "going", run=run.run, **facts), approval="person"
    )
    assert looked(scene).waits.code == "withdrawal-answered"
    scene.going = (GoingRetraining("going", scene.recipe, suspended=True),)
    waits = looked(scene).waits
    assert waits.code == "withdrawal-release-waits"
    assert f"fedcart release approve {scene.recipe} 2" in waits.fix
    assert held_up(scene, monkeypatch) == ["withdrawal-release-waits"]


def test_a_champion_whose_request_is_gone_holds_up_no_other_recipe(scene, monkeypatch):
    other = f"a-{scene.recipe}"  # it comes first
    facts = {"round_number": 2, "model_sha256": scene.run.head.best_model_sha256}
    reported(scene.store, open_release(scene.store, other, "t", run=scene.run.run, **facts))
    promote(scene.store, other, 1, "ann", undocumented)
    scene.store.delete(release_key(other, 1, "request"))
    tell(scene)
    tell(scene, recipe=other)
    monkeypatch.setattr(withdrawing, "get_run_logger", lambda: logging.getLogger("watch"))
    answered = withdrawing.answer_withdrawals.fn(scene.desk)
    assert scene.recipe in answered.started
    assert answered.damaged.code == "release-unknown"


def test_the_record_of_a_drift_retraining_keeps_its_bytes(scene):
    request = RetrainingRequest(
        recipe=scene.recipe,
        number=1,
        ticket="t",
        run="r",
        champion_sha256="0" * 64,
        parties=("shop-a",),
        reason="drift",
    )
    create_message(scene.store, retraining_key(scene.recipe, 1), request)
    stored = scene.store.read(retraining_key(scene.recipe, 1))
    assert b"without" not in stored and b"withdrawals" not in stored
