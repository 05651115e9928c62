"""A run from state to state: every step in order, every place to resume at, every way to end."""

from dataclasses import replace

import pytest

from fedmodels.aggregation.fedavg import fedavg_weights
from fedmodels.errors import RunConflict
from fedmodels.protocol.agreement import candidate_faults, evaluation_faults, record_faults
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.deciding import changed, decide
from fedmodels.protocol.messages import ChampionScore, Closed, Evaluation, GateResult
from fedmodels.protocol.recording import NO_FINITE_AVERAGE, closing, record_of
from fedmodels.protocol.state import Collection, Verdict, advance
from fedmodels.protocol.steps import (
    Announce,
    CloseRun,
    Collect,
    Commit,
    Decide,
    Ended,
    Halt,
    Judge,
    MoveHead,
    Propose,
    Recall,
    next_step,
    only_closes,
)
from tests.fedmodels.protocol.builders import (
    SECONDS,
    answer,
    candidate,
    recipe_for,
    record,
    refused,
    scores,
    state_for,
)
from validation.gates import round_gate

PASSED, REFUSED = (
    GateResult(passed=True, reasons=("passed.",)),
    GateResult(passed=False, reasons=("refused.",)),
)


def play_round(state, answers, gate=PASSED):
    """One round by hand; returns the state after it and the steps that it took."""
    steps = []
    while True:
        step = next_step(state)
        steps.append(type(step))
        number = state.open_round
        match step:
            case Announce(message):
                found = message
            case Collect() | Recall():
                found = Collection(number, tuple(answers))
            case Decide(message, _):
                found = decide(
                    message,
                    state.collected.items,
                    lambda counts: fedavg_weights(counts, "examples"),
                    state.plan.recipe,
                    records=state.records,
                    before=message.model_copy(update={"round": number - 1}),
                )
            case Propose():
                found = candidate(number)
            case Judge(_, asked):
                found = Verdict(number, dict.fromkeys(asked), scores(), gate)
            case Commit():
                found = record_of(state, SECONDS)
            case MoveHead(_, head):
                return advance(state, head), steps
            case _:
                raise AssertionError(step)
        state = advance(state, found)


def test_a_round_that_passes():
    after, steps = play_round(state_for(recipe_for()), [answer("a"), answer("b")])
    assert steps == [Announce, Collect, Decide, Propose, Judge, Commit, MoveHead]
    assert (after.head.round, after.head.passed_rounds) == (1, 1)
    assert after.head.model_sha256 == candidate().model_sha256
    assert after.announcement is after.decision is after.candidate is after.record is after.collected is None


def test_a_round_without_its_quorum_has_no_candidate():
    after, steps = play_round(state_for(recipe_for()), [answer("a"), refused("b", "table-empty")])
    assert steps == [Announce, Collect, Decide, Commit, MoveHead]
    assert after.records[0].outcome == "quorum-missed"
    assert after.records[0].gate.reasons == ("1 update was accepted, 2 are required (b: table-empty).",)
    assert after.head.model_sha256 == state_for(recipe_for()).head.model_sha256


def test_wherever_a_coordinator_dies_the_next_one_goes_on_there():
    """Only messages survive; a state with any prefix of them leads to the same record."""
    state, answers = state_for(recipe_for()), (answer("a"), answer("b"))
    whole, _ = play_round(state, answers)
    announcement = next_step(state).announcement
    decision = decide(announcement, answers, lambda c: fedavg_weights(c, "examples"), state.plan.recipe)
    standing = {"announcement": announcement, "decision": decision, "candidate": candidate()}
    expected = {
        (): Announce,
        ("announcement",): Collect,
        ("announcement", "decision"): Recall,
        ("announcement", "decision", "candidate"): Recall,
    }
    for names, first in expected.items():
        resumed, steps = play_round(replace(state, **{name: standing[name] for name in names}), answers)
        assert steps[0] is first
        assert Propose not in steps if "candidate" in names else Propose in steps
        assert resumed.records == whole.records
    standing["record"] = whole.records[0]
    resumed, steps = play_round(replace(state, **standing), answers)
    assert steps == [MoveHead]
    assert resumed.head == whole.head


def test_a_run_only_closes_once_its_records_say_that_no_round_follows():
    state, answers = state_for(recipe_for(num_rounds=2)), (answer("a"), answer("b"))
    assert not only_closes(state)
    first, _ = play_round(state, answers)
    assert not only_closes(first)
    second, _ = play_round(first, [answer("a", 2), answer("b", 2)])
    assert only_closes(second)
    assert only_closes(replace(first, record=second.records[1])), "HEAD has not followed yet"
    assert not only_closes(replace(state, record=first.records[0]))


def test_anothers_decision_is_adopted_and_recalled():
    state = state_for(recipe_for("abc"))
    state = advance(state, next_step(state).announcement)
    mine = Collection(1, (answer("a"), answer("b"), refused("c")))
    others = decide(
        state.announcement,
        [answer("b"), answer("c"), refused("a")],
        lambda c: fedavg_weights(c, "examples"),
        state.plan.recipe,
    )
    state = advance(advance(state, mine), others)
    assert isinstance(next_step(state), Recall)


def test_a_round_whose_update_was_taken_back_is_refused_and_the_party_named():
    state, answers = state_for(recipe_for()), (answer("a"), answer("b"))
    announcement = next_step(state).announcement
    decision = decide(announcement, answers, lambda c: fedavg_weights(c, "examples"), state.plan.recipe)
    state = replace(state, announcement=announcement, decision=decision)
    state = advance(state, Collection(1, (answer("a"), changed("b", None))))
    assert isinstance(next_step(state), Commit)
    found = record_of(state, SECONDS)
    assert (found.outcome, found.accepted, found.candidate_sha256) == ("gate-refused", ("a", "b"), None)
    assert [(refusal.party, refusal.code) for refusal in found.refused] == [("b", "changed-since")]
    assert found.gate.reasons == ("The update of b is no longer the one that was admitted: refused.",)
    assert found.model_sha256 == state.head.model_sha256


def decided(state, answers):
    """The state with its round announced, collected and decided."""
    state = advance(state, next_step(state).announcement)
    state = advance(state, Collection(1, tuple(answers)))
    return advance(
        state,
        decide(state.announcement, answers, lambda c: fedavg_weights(c, "examples"), state.plan.recipe),
    )


def test_a_round_whose_average_is_no_model_is_refused_and_the_next_one_starts_from_the_good_model():
    state = decided(state_for(recipe_for()), [answer("a"), answer("b")])
    assert isinstance(next_step(state), Propose)
    state = advance(state, Verdict(1, {}, None, NO_FINITE_AVERAGE))
    assert isinstance(next_step(state), Commit)
    found = record_of(state, SECONDS)
    assert (found.outcome, found.candidate_sha256, found.metrics) == ("gate-refused", None, None)
    assert found.gate.reasons == ("The average of the updates leaves the range of float32: refused.",)
    assert record_faults(found, state.head, state.decision, None, {}) == ()
    silent = found.model_copy(update={"gate": REFUSED})
    assert record_faults(silent, state.head, state.decision, None, {}), "a candidate cannot just be missing"
    state = advance(state, found)
    state = advance(state, next_step(state).head)
    assert next_step(state).announcement.model_sha256 == state_for(recipe_for()).head.model_sha256


def test_the_record_keeps_what_each_party_says_of_the_champion():
    """Of a party that sat out as of one that trained; the round's gate hears nothing of it."""
    state = decided(state_for(recipe_for("abc")), [answer("a"), answer("b"), refused("c", "late")])
    champion = ChampionScore(model_sha256="c" * 64, metrics=scores(0.6))
    told = {
        party: Evaluation(
            run="r",
            round=1,
            party=party,
            model_sha256=candidate().model_sha256,
            metrics=scores(),
            champion=said,
        )
        for party, said in {"a": champion, "b": None, "c": champion}.items()
    }
    state = advance(state, candidate())
    found = record_of(advance(state, Verdict(1, told, scores(), PASSED)), SECONDS)
    assert {party: row.champion for party, row in found.parties.items()} == {
        "a": scores(0.6),
        "b": None,
        "c": scores(0.6),
    }
    assert b'"champion"' not in canonical_json(found.parties["b"])
    assert evaluation_faults(told["a"], candidate(), found) == ()
    changed_since = told["a"].model_copy(update={"champion": None})
    assert evaluation_faults(changed_since, candidate(), found) == (
        "its scores of the champion are not those of the record",
    )


def test_a_candidate_without_finite_scores_is_shown_to_no_party_and_refused():
    state = decided(state_for(recipe_for()), [answer("a"), answer("b")])
    broken = candidate(evaluate=False).model_copy(update={"metrics": None})
    state = advance(state, broken)
    assert next_step(state) == Judge(broken, ())
    gate = round_gate(state.plan.recipe.gate, "accuracy", None, broken.metrics, {}, {})
    found = record_of(advance(state, Verdict(1, {}, None, gate)), SECONDS)
    assert (found.outcome, found.candidate_sha256) == ("gate-refused", broken.model_sha256)
    assert found.model_sha256 == state.head.model_sha256
    assert found.gate.reasons == ("The candidate has no finite scores on validation: refused.",)
    assert record_faults(found, state.head, state.decision, broken, {}) == ()
    asked = broken.model_copy(
        update={"evaluate": True, "evaluation_timeout": state.plan.recipe.evaluation_timeout}
    )
    assert candidate_faults(asked, state.plan, found) == ("evaluate is True, not False",)


def test_only_who_answered_in_time_is_asked_for_scores():
    codes = {"c": "late", "d": "session-died", "e": "late-after-resume", "f": "session-cancelled"}
    answers = [answer("a"), answer("b"), *(refused(party, code) for party, code in codes.items())]
    answers += [refused("g", "table-empty"), refused("h", "wrong-base")]
    state = decided(state_for(recipe_for("abcdefgh")), answers)
    assert next_step(advance(state, candidate())) == Judge(candidate(), ("a", "b", "g", "h"))
    recalled = advance(replace(state, collected=None), Collection(1, tuple(answers)))
    assert next_step(advance(recalled, candidate())) == Judge(candidate(), ("a", "b", "g", "h"))


def test_enough_rounds_finish_the_run():
    state = state_for(recipe_for(num_rounds=1))
    state, _ = play_round(state, [answer("a"), answer("b")])
    step = next_step(state)
    assert (step.status, step.reason) == ("finished", "1 of 1 rounds passed")
    closed = closing(state.head, state.records, "finished", "", step.reason, 1.0)
    assert closed.model_sha256 == candidate().model_sha256
    assert next_step(advance(state, closed)) == Ended(closed)


def test_too_many_refusals_close_the_run_and_too_few_parties_only_stop_it():
    state = state_for(recipe_for(max_failed_rounds=0))
    failed, _ = play_round(state, [answer("a"), answer("b")], gate=REFUSED)
    step = next_step(failed)
    assert isinstance(step, CloseRun)
    assert (step.status, step.code) == ("failed", "too-many-failed-rounds")
    short, _ = play_round(state, [answer("a"), refused("b", "table-empty")])
    step = next_step(short)
    assert isinstance(step, Halt)
    assert step.error.code == "quorum-missed"
    assert "b: table-empty" in str(step.error)
    assert isinstance(next_step(replace(short, took_over_at=1)), Announce), "a resume goes on"


def test_a_cancelled_run_ends_at_every_step_and_head_stays():
    state = state_for(recipe_for())
    closed = Closed(
        run="r", status="cancelled", model_sha256=state.head.model_sha256, rounds=0, final=None, seconds=0
    )
    for further in ({}, {"record": record(1)}):
        found = advance(replace(state, **further), closed)
        assert next_step(found) == Ended(closed)
        assert found.head == state.head


def test_who_rests_is_not_announced():
    state = state_for(recipe_for("abc", num_rounds=9, min_available_parties=1))
    for number in (1, 2, 3):
        state, _ = play_round(state, [answer("a", number), answer("b", number), refused("c", "wrong-base")])
    assert next_step(state).announcement.cohort == ("a", "b")


def test_collecting_names_whose_update_of_the_round_before_is_due():
    state = state_for(recipe_for("abc", salvage={}, num_rounds=2))
    state, _ = play_round(state, [answer("a"), answer("b"), refused("c")])
    state = advance(state, next_step(state).announcement)
    assert next_step(state) == Collect(state.announcement, ("c",))


@pytest.mark.parametrize("stray", [candidate(2), candidate(1).model_copy(update={"run": "other"})])
def test_a_message_in_the_wrong_place_stops_the_run(stray):
    with pytest.raises(RunConflict) as caught:
        advance(state_for(recipe_for()), stray)
    assert caught.value.code == "message-unexpected"


def test_a_new_epoch_leaves_the_round_open():
    state = state_for(recipe_for())
    state = advance(state, next_step(state).announcement)
    after = advance(state, state.head.model_copy(update={"epoch": 2}))
    assert (after.head.epoch, after.announcement) == (2, state.announcement)
