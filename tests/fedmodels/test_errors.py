"""What a flow leaves of the error that ended it is read as it was written."""

import pickle

import pytest

from fedmodels import errors
from fedmodels.errors import FedcartError, read_coded, training_cancelled, write_coded

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FedcartError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_read_as_it_was_written(kind):
    error = kind("The run mine: it has 2 faults", fix="correct them:\nall")
    assert read_coded(write_coded(error)) == (error.code, str(error))
    assert write_coded(pickle.loads(pickle.dumps(error))) == write_coded(error)


@pytest.mark.parametrize(
    "message", ["", "Flow run was cancelled.", "Crashed: by a signal", "no-code:", "a code: said"]
)
def test_other_words_have_no_code(message):
    assert read_coded(message) is None


def test_a_training_that_was_told_to_stop():
    assert write_coded(training_cancelled()) == "training-cancelled: The training was cancelled."
