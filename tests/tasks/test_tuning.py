"""Fine-tuning is kept only when the key metric rises and the loss does not."""

import pytest

from fedmodels.protocol.messages import Metrics
from tasks.coordinator.tuning import helps


def scores(accuracy: float, loss: float) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy, loss=loss, num_examples=300)


@pytest.mark.parametrize(
    ("metric", "after", "kept"),
    [
        ("accuracy", scores(0.81, 0.40), True),
        ("accuracy", scores(0.81, 0.41), False),
        ("accuracy", scores(0.80, 0.30), False),
        ("loss", scores(0.70, 0.39), True),
        ("loss", scores(0.90, 0.40), False),
    ],
)
def test_what_is_kept(metric, after, kept):
    assert helps(metric, after, scores(0.80, 0.40)) is kept
