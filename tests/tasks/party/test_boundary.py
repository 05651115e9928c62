"""What goes wrong at a party leaves it as a code and a sentence, also when its disk is full."""

import errno
from types import SimpleNamespace

import pytest

from fedmodels.errors import TrainingFailed
from tasks.party.boundary import bordered, sealed

PATH = "/confidential/table.csv"


@sealed("train")
def fail(session, error):
    raise error


def session(folder):
    return SimpleNamespace(party="shop-a", folder=folder, seconds={})


def test_a_step_of_a_session_is_measured_even_if_it_fails_and_another_need_not_be(tmp_path):
    inside = session(tmp_path)
    with pytest.raises(TrainingFailed):
        fail(inside, ValueError())
    assert inside.seconds["train"] >= 0.0
    assert bordered("check")(lambda desk: desk.party)(SimpleNamespace(party="a", folder=tmp_path)) == "a"


def sealed_error(folder, error):
    with pytest.raises(TrainingFailed) as told:
        fail(session(folder), error)
    assert PATH not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
    return told.value


def test_an_unforeseen_error_stays_in_the_partys_own_log(tmp_path):
    told = sealed_error(tmp_path / "run", ValueError(f"row 7 of {PATH}"))
    assert (told.code, "ValueError" in str(told)) == ("train-failed", True)
    assert PATH in (tmp_path / "run" / "errors.log").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_a_code_of_its_own(tmp_path, number):
    told = sealed_error(tmp_path, OSError(number, "no room", PATH))
    assert (told.code, str(told)) == (
        "disk-full",
        "The disk of party shop-a is full (step train); free some space.",
    )


def test_a_log_that_cannot_be_written_adds_nothing_to_the_error(tmp_path):
    (tmp_path / "taken").touch()
    told = sealed_error(tmp_path / "taken" / "run", PermissionError(errno.EACCES, "denied", PATH))
    assert told.code == "train-failed"
