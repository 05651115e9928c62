"""What a party does at each round with data that were refused before."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import DataRefused, InputError, IntegrityError, StoreUnavailable, TrainingFailed
from flows import party_session

JOINING = SimpleNamespace(joined_plan=SimpleNamespace(repeats=None))


@pytest.fixture
def steps(monkeypatch):
    """The steps that `submit` takes, noted instead of done; looking at the data again finds them good."""
    noted = []

    def note(name):
        return lambda *_arguments: noted.append(name)

    def inspect_data(session):
        noted.append("inspect_data")
        session.refused = None

    for name in ("train_local", "let_old_rows_go", "protect_update", "submit_update", "sit_out"):
        monkeypatch.setattr(party_session, name, note(name))
    monkeypatch.setattr(party_session, "inspect_data", inspect_data)
    monkeypatch.setattr(party_session, "data_changed", lambda _session: False)
    return noted


def test_a_fault_that_was_not_in_the_data_is_looked_at_again(steps):
    full = InputError("The disk is full", code="disk-full")
    party_session.submit(SimpleNamespace(refused=full), None, "session")
    assert steps == ["inspect_data", "train_local", "let_old_rows_go", "protect_update", "submit_update"]


def test_what_cannot_be_let_go_costs_nothing_and_what_was_not_trained_on_takes_nothing_away(
    steps, monkeypatch
):
    def away(_session):
        raise StoreUnavailable("The object store does not answer")

    monkeypatch.setattr(party_session, "let_old_rows_go", away)
    party_session.submit(SimpleNamespace(refused=None), None, "session")
    assert steps == ["train_local", "protect_update", "submit_update"]

    def fail(_session, _announcement):
        raise TrainingFailed("The loss is not finite")

    monkeypatch.setattr(party_session, "train_local", fail)
    monkeypatch.setattr(party_session, "let_old_rows_go", lambda _session: steps.append("let go"))
    party_session.submit(SimpleNamespace(refused=None), None, "session")
    assert steps[3:] == ["sit_out"]


@pytest.mark.parametrize("step", ["train_local", "protect_update", "submit_update"])
def test_a_store_that_is_away_is_no_reason_to_sit_out(steps, monkeypatch, step):
    def away(*_arguments):
        raise StoreUnavailable("The object store does not answer")

    monkeypatch.setattr(party_session, step, away)
    with pytest.raises(StoreUnavailable):
        party_session.submit(SimpleNamespace(refused=None), None, "session")
    assert "sit_out" not in steps


def test_data_that_were_refused_stay_refused_until_they_change(steps):
    party_session.submit(SimpleNamespace(refused=DataRefused("A label is unknown")), None, "session")
    assert steps == ["sit_out"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "/confidential/fedcart.toml"),
            "session-failed: The party's session could not be opened (PermissionError); "
            "see the log of the party's own worker.",
        ),
        (
            InputError("The settings have 1 fault", code="settings-invalid"),
            "settings-invalid: The",
        ),
    ],
)
def test_what_fails_before_there_is_a_session_leaves_without_a_path(monkeypatch, capfd, error, message):
    def load_settings():
        raise error

    monkeypatch.setattr(party_session, "load_settings", load_settings)
    state = party_session.party_session.fn("run-1")
    assert state.is_failed()
    assert state.message.startswith(message)
    assert "confidential" not in state.message
    assert ("/confidential/fedcart.toml" in capfd.readouterr().err) is isinstance(error, OSError)


def test_a_session_that_comes_up_after_its_run_does_nothing(monkeypatch):
    noted = []
    monkeypatch.setattr(party_session, "is_over", lambda _session: True)
    for name in ("import_libraries", "join", "inspect_data"):
        monkeypatch.setattr(party_session, name, lambda *_arguments, name=name: noted.append(name))
    monkeypatch.setattr(party_session, "leave_closed_run", lambda *_arguments: None)
    session = SimpleNamespace(store_for_looks=None, workspace=None)
    assert party_session.take_part_in_all.__wrapped__(session, "session") == 0
    assert noted == []


@pytest.fixture
def joining(monkeypatch):
    """The steps of `join`, noted instead of done; returns how to make the check of expectations fail."""
    noted = []
    for name in ("join_run", "load_model", "decline", "check_expectations"):
        monkeypatch.setattr(party_session, name, lambda *_arguments, name=name: noted.append(name))

    def fail_with(error):
        def check(_session):
            raise error

        monkeypatch.setattr(party_session, "check_expectations", check)
        return noted

    return fail_with


def test_wrong_expectations_are_told_before_the_party_is_ready(joining):
    wrong = InputError("Expectation 1 has an unknown type", code="expectation-unknown")
    noted = joining(wrong)
    with pytest.raises(InputError):
        party_session.join(JOINING, "session")
    assert noted == ["join_run", "decline"]


def test_a_fault_of_the_disk_while_they_are_checked_costs_nothing_yet(joining):
    noted = joining(TrainingFailed("The disk is full", code="disk-full"))
    party_session.join(JOINING, "session")
    assert noted == ["join_run", "load_model"]


@pytest.mark.parametrize(
    "fault",
    [StoreUnavailable("The object store does not answer"), TrainingFailed("It is full", code="disk-full")],
    ids=lambda fault: fault.code,
)
def test_a_fault_that_passes_is_no_declining(joining, monkeypatch, fault):
    """The session ends of it, and its coordinator starts it again."""

    def load(_session):
        raise fault

    noted = joining(TrainingFailed("The disk is full", code="disk-full"))
    monkeypatch.setattr(party_session, "load_model", load)
    with pytest.raises(type(fault)):
        party_session.join(JOINING, "session")
    assert noted == ["join_run"]


@pytest.mark.parametrize("refused", [None, DataRefused("A label is unknown", code="contract-failed")])
def test_a_contract_is_shown_whatever_it_found_and_a_fault_of_that_costs_nothing(monkeypatch, refused):
    """The same holds for the rows that are kept for drift."""
    noted = []

    def validate(_session):
        if refused:
            raise refused

    def fail_after(word):
        def step(_session):
            noted.append(word)
            raise TrainingFailed("The disk is full", code="disk-full")

        return step

    monkeypatch.setattr(party_session, "prepare_data", lambda _session: None)
    monkeypatch.setattr(party_session, "validate_data", validate)
    monkeypatch.setattr(party_session, "show_contract", fail_after("shown"))
    monkeypatch.setattr(party_session, "pin_version", fail_after("pinned"))
    monkeypatch.setattr(party_session, "keep_trained_rows", fail_after("kept"))
    session = SimpleNamespace(refused="something of before")
    party_session.inspect_data(session)
    assert (session.refused, noted) == (refused, ["shown", "pinned", "kept"])


@pytest.fixture
def rounds(monkeypatch):
    """A session that has submitted to round 7: how `next_candidate` ends, and what is scored then."""
    noted = SimpleNamespace(ends=None, scored=[], asked=[])

    def announced(_session, _session_id, after):
        noted.asked.append(after)
        return SimpleNamespace(round=7, cohort=("shop-a",)) if after == 6 else None

    for name in ("find_predecessor", "import_libraries", "join", "inspect_data", "declare_ready"):
        monkeypatch.setattr(party_session, name, lambda *_arguments: None)
    monkeypatch.setattr(party_session, "is_over", lambda _session: False)
    monkeypatch.setattr(party_session, "last_closed_round", lambda _session: 6)
    monkeypatch.setattr(party_session, "holds_lease", lambda *_arguments: True)
    monkeypatch.setattr(party_session, "has_submitted", lambda *_arguments: True)
    monkeypatch.setattr(party_session, "next_announcement", announced)
    monkeypatch.setattr(party_session, "next_candidate", lambda *_arguments: noted.ends)
    monkeypatch.setattr(party_session, "score", lambda _session, candidate: noted.scored.append(candidate))
    return noted


WANTED, UNWANTED = SimpleNamespace(evaluate=True), SimpleNamespace(evaluate=False)


@pytest.mark.parametrize(
    ("ends", "scored", "asked"),
    [
        (WANTED, [WANTED], [6, 7]),
        (UNWANTED, [], [6, 7]),
        ("closed", [], [6, 7]),
        ("leave", [], [6]),
    ],
)
def test_who_waited_in_vain_for_a_candidate_leaves_and_waits_for_no_later_round(rounds, ends, scored, asked):
    """The coordinator that comes back starts it again, and the open round is the one that it finds."""
    rounds.ends = ends
    session = SimpleNamespace(party="shop-a", begin_round=lambda: None, pushing=None)
    assert party_session.take_part_in_all.__wrapped__(session, "session") == 1
    assert (rounds.scored, rounds.asked) == (scored, asked)


@pytest.mark.parametrize(
    ("over", "left"),
    [
        pytest.param([True], ["left"], id="it came up when the run was over"),
        pytest.param([False, True], ["rounds", "left"], id="the run was closed"),
        pytest.param([False, False], ["rounds"], id="it was idle for long, and the run goes on"),
    ],
)
def test_working_files_go_when_the_run_is_over_and_not_before(monkeypatch, over, left):
    noted, answers = [], iter(over)
    monkeypatch.setattr(party_session, "is_over", lambda _session: next(answers))
    monkeypatch.setattr(party_session, "take_part_in_rounds", lambda *_arguments: noted.append("rounds") or 3)
    monkeypatch.setattr(party_session, "leave_closed_run", lambda *_arguments: noted.append("left"))
    session = SimpleNamespace(store_for_looks=None, workspace=None, pushing=None)
    assert party_session.take_part_in_all.__wrapped__(session, "session") == (3 if "rounds" in left else 0)
    assert noted == left


def test_a_run_that_cannot_be_repeated_on_the_tables_of_then_says_so_without_a_place(monkeypatch):
    told = []
    logger = SimpleNamespace(warning=lambda sentence, *values: told.append(sentence % values))
    monkeypatch.setattr(party_session, "get_run_logger", lambda: logger)

    def damaged(_session):
        raise IntegrityError("The table /home/shop/train.csv is gone", code="version-damaged")

    for bring_back_data in (damaged, lambda _session: None, lambda _session: 3):
        monkeypatch.setattr(party_session, "bring_back_data", bring_back_data)
        party_session.bring_back(SimpleNamespace())
    assert told == [
        "Trained on today's tables; those of then cannot be had: version-damaged",
        "Trained on today's tables; no one version of then is kept here, or may be used",
    ]
