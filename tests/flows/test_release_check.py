"""The scheduled look for new models: it starts a release, or finds nothing, or fails with one sentence."""

import pytest

from fedmodels.errors import StackError
from fedmodels.protocol.releases import Unreleasable
from flows import release_check


@pytest.fixture
def look(monkeypatch):
    """The flow, when this run waits, or finding it or starting its release fails."""
    started: list[str] = []

    def run(waits):
        def find(settings, recipe):
            assert (settings, recipe) == ("settings", "tiny")
            return waits

        def start(found):
            if isinstance(found, Exception):
                raise found
            started.append(found)
            return "flow-run-1"

        monkeypatch.setattr(release_check, "load_settings", lambda: "settings")
        monkeypatch.setattr(release_check, "find_unreleased", find)
        monkeypatch.setattr(release_check, "start_release", start)
        return release_check.release_check.fn("tiny")

    run.started = started
    return run


def test_the_run_that_waits_is_proposed(look):
    assert look("tiny-2") == {"run": "tiny-2", "flow_run": "flow-run-1"}
    assert look.started == ["tiny-2"]


def test_where_nothing_waits_nothing_starts(look):
    state = look(None)
    assert (state.name, state.is_completed(), look.started) == ("NothingNew", True, [])
    assert state.message == "No new model of tiny waits for its release."


def test_a_model_that_can_never_be_released_is_told_and_not_proposed(look):
    refusal = Unreleasable(recipe="tiny", run="tiny-2", code="labels-differ", sentence="It has 3 labels.")
    state = look(refusal)
    assert (state.name, state.is_completed(), look.started) == ("Unreleasable", True, [])
    assert state.message == (
        "The model of run tiny-2 is not proposed again: labels-differ: It has 3 labels; "
        "mend that and run fedcart release propose tiny-2, or train anew."
    )


def test_a_fault_is_one_sentence(look):
    state = look(StackError("The Prefect server refuses", fix="see its log", code="prefect-refused"))
    assert state.is_failed()
    assert state.message == "prefect-refused: The Prefect server refuses; see its log."
