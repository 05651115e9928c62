"""The kept model of a run: only of a finished run whose messages are whole, with what its parties signed."""

import pytest

from fedmodels.errors import FedcartError, InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Session, StandingChampion
from infra.layout import closed_key, evaluation_key, round_key, session_key
from tasks.cancelling import cancel_run
from tasks.exchange import create_message, create_signed
from tasks.release.kept import contracts, kept_model, party_scores
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun, scores

EVERYONE = dict.fromkeys(PARTIES, 1)


def played(run: FinishedRun, accuracy: float = 0.7, **facts) -> FinishedRun:
    run.play(1, EVERYONE, accuracy=accuracy, **facts)
    run.close()
    return run


def code_of(call, *arguments) -> tuple[type[FedcartError], str]:
    with pytest.raises(FedcartError) as caught:
        call(*arguments)
    return caught.type, caught.value.code


def test_it_is_the_best_rounds_candidate(opened):
    opened.play(1, EVERYONE, accuracy=0.7)
    opened.play(2, dict.fromkeys(PARTIES, 2), accuracy=0.75, tuned=True)
    opened.play(3, dict.fromkeys(PARTIES, 3), accuracy=0.74)
    opened.close()
    kept = kept_model(opened.store, opened.run)
    assert (kept.run, kept.round, kept.sha256) == (opened.run, 2, opened.head.best_model_sha256)
    assert kept.candidate.metrics == kept.record.metrics == scores(0.75)


def test_an_unknown_run_an_open_one_and_a_cancelled_one_are_refused(opened):
    assert code_of(kept_model, opened.store, "nothing-1") == (InputError, "run-unknown")
    opened.play(1, EVERYONE, accuracy=0.7)
    assert code_of(kept_model, opened.store, opened.run) == (RunConflict, "run-open")
    cancel_run(opened.store, opened.run, "enough")
    assert code_of(kept_model, opened.store, opened.run) == (RunConflict, "run-unfinished")


def test_a_run_that_kept_the_base_model_has_nothing_to_release(opened):
    closed = cancel_run(opened.store, opened.run, "")
    opened.store.delete(closed_key(opened.run))
    finished = closed.model_copy(update={"status": "finished", "code": ""})
    create_message(opened.store, closed_key(opened.run), finished)
    assert code_of(kept_model, opened.store, opened.run) == (InputError, "model-missing")


@pytest.mark.parametrize("message", ["record", "candidate"])
def test_a_message_that_was_changed_is_noticed(opened, message):
    run = played(opened)
    key = round_key(run.run, 1, message)
    run.store.put_blob(key, run.store.read(key).replace(b'"num_examples":200', b'"num_examples":201', 1))
    if message == "candidate":  # its metrics are the record's to say
        assert kept_model(run.store, run.run).record.metrics == scores(0.69)
        changed = run.store.read(key).replace(kept_model(run.store, run.run).sha256.encode(), b"0" * 64)
        run.store.put_blob(key, changed)
    assert code_of(kept_model, run.store, run.run) == (IntegrityError, "chain-broken")


def test_scores_are_those_that_each_party_signed(opened):
    run = played(opened, abstains="shop-c")
    kept = kept_model(run.store, run.run)
    found = party_scores(run.store, kept, None)
    assert {party: found[party].candidate for party in PARTIES} == {
        "shop-a": scores(0.7),
        "shop-b": scores(0.7),
        "shop-c": None,
    }
    assert not any(found[party].fault or found[party].champion for party in PARTIES)
    assert found["shop-c"].missing == "no holdout rows"


def test_a_party_that_left_no_evaluation_is_told_apart_from_one_that_abstained(opened):
    opened.play(1, {"shop-a": 1, "shop-b": 1}, {"shop-c": "late"}, accuracy=0.7, cohort=("shop-a", "shop-b"))
    opened.close()
    found = party_scores(opened.store, kept_model(opened.store, opened.run), None)
    assert (found["shop-c"].candidate, found["shop-c"].missing) == (None, "it left none in time")


CHAMPION = StandingChampion(run="before-1", model_sha256="c" * 64)


def test_the_champions_scores_are_those_on_the_candidates_rows(opened):
    opened.champion, opened.champion_accuracy = CHAMPION, 0.8
    run = played(opened)
    kept = kept_model(run.store, run.run)
    found = party_scores(run.store, kept, CHAMPION.model_sha256)
    assert [(s.candidate, s.champion, s.fault, s.missing) for s in found.values()] == [
        (scores(0.7), scores(0.8), "", "")
    ] * 3
    first = party_scores(run.store, kept, None)
    assert not any(s.champion or s.missing for s in first.values()), "before the first release"


def test_scores_of_other_rows_or_of_another_champion_are_compared_with_nothing(home, opened):
    """The champion's own run has scores too: of whatever its parties held out then."""
    champion = played(FinishedRun(home, f"before-{opened.run}", seed=90), accuracy=0.8)
    run = played(opened)
    found = party_scores(run.store, kept_model(run.store, run.run), champion.head.best_model_sha256)
    assert {(s.candidate, s.champion, s.fault, s.missing) for s in found.values()} == {
        (scores(0.7), None, "", "the candidate's run did not ask for it")
    }
    other = FinishedRun(home, f"other-{opened.run}", seed=91, champion=CHAMPION, champion_accuracy=0.8)
    kept = kept_model(other.store, played(other).run)
    found = party_scores(other.store, kept, champion.head.best_model_sha256)
    assert not any(s.champion for s in found.values())


def test_why_a_party_could_not_score_the_champion_is_told(opened):
    opened.champion = CHAMPION
    run = played(opened)
    found = party_scores(run.store, kept_model(run.store, run.run), CHAMPION.model_sha256)
    assert {(s.candidate, s.champion, s.missing) for s in found.values()} == {
        (scores(0.7), None, "model-missing: The model is gone")
    }


def test_a_party_cannot_change_the_champions_score_afterwards(opened):
    opened.champion, opened.champion_accuracy = CHAMPION, 0.8
    run = played(opened)
    kept = kept_model(run.store, run.run)
    run.stores["shop-a"].delete(evaluation_key("shop-a", run.run, 1))
    run.champion_accuracy = 0.1
    run.evaluate(kept.candidate, "shop-a", 0.7)
    found = party_scores(run.store, kept, CHAMPION.model_sha256)
    assert found["shop-a"].fault == "is not the one that its round was closed with"
    assert found["shop-b"].champion == scores(0.8)


def test_an_evaluation_that_is_gone_or_another_one_is_named(opened):
    run = played(opened)
    kept = kept_model(run.store, run.run)
    run.stores["shop-a"].delete(evaluation_key("shop-a", run.run, 1))
    run.stores["shop-b"].delete(evaluation_key("shop-b", run.run, 1))
    run.evaluate(kept.candidate, "shop-b", 0.99)
    forged = evaluation_key("shop-c", run.run, 1)
    run.stores["shop-c"].delete(forged)
    evaluation = run.evaluate(kept.candidate, "shop-c", 0.7)
    run.stores["shop-c"].delete(forged)
    create_signed(run.stores["shop-c"], forged, evaluation, run.keys["shop-a"])
    found = party_scores(run.store, kept, None)
    assert {party: scored.fault for party, scored in found.items()} == {
        "shop-a": "is gone since its round was closed",
        "shop-b": "is not the one that its round was closed with",
        "shop-c": "is not the one that its round was closed with",
    }
    assert not any(scored.candidate for scored in found.values())


def contracts_of(run: FinishedRun) -> dict[str, str | None]:
    run.close()
    return contracts(run.store, kept_model(run.store, run.run))


TWO = ("shop-a", "shop-b")
SOUND = dict.fromkeys(TWO, "")


@pytest.mark.parametrize(
    "code",
    [
        "contract-failed",
        "data-refused",
        "table-missing",
        "expectation-unknown",
        "expectations-invalid",
        "engine-missing",
    ],
)
def test_whoever_is_kept_out_because_of_its_data_breaks_its_contract(opened, code):
    opened.play(1, dict.fromkeys(TWO, 1), {"shop-c": code}, accuracy=0.7)
    assert contracts_of(opened) == {**SOUND, "shop-c": code}


@pytest.mark.parametrize("code", ["late", "data-failed", "train-failed"])
def test_of_who_was_only_late_or_failed_nothing_is_known(opened, code):
    opened.play(1, dict.fromkeys(TWO, 1), {"shop-c": code}, accuracy=0.7)
    assert contracts_of(opened) == {**SOUND, "shop-c": None}


def test_the_last_word_on_a_partys_data_counts(opened):
    opened.play(1, dict.fromkeys(TWO, 1), {"shop-c": "contract-failed"}, accuracy=0.7)
    opened.play(2, dict.fromkeys(TWO, 2), {"shop-c": "late"}, accuracy=0.71)
    opened.play(3, {"shop-a": 3, "shop-c": 3}, {"shop-b": "table-empty"}, accuracy=0.72)
    assert contracts_of(opened) == {"shop-a": "", "shop-b": "table-empty", "shop-c": ""}


@pytest.mark.parametrize(
    ("code", "known"),
    [("expectation-column-missing", "expectation-column-missing"), ("policy-forbids", None), (None, None)],
)
def test_a_party_that_came_to_no_round_is_known_by_its_lease(opened, code, known):
    opened.play(1, dict.fromkeys(TWO, 1), accuracy=0.7, cohort=TWO)
    lease = Session(run=opened.run, party="shop-c", session="one", refusal=code, reason="Because.")
    opened.stores["shop-c"].create(session_key("shop-c", opened.run), canonical_json(lease))
    assert contracts_of(opened) == {**SOUND, "shop-c": known}


def test_what_a_party_left_in_place_of_a_lease_ends_no_release(opened):
    opened.play(1, dict.fromkeys(TWO, 1), accuracy=0.7, cohort=TWO)
    opened.stores["shop-c"].create(session_key("shop-c", opened.run), b"{")
    assert contracts_of(opened) == {**SOUND, "shop-c": None}
