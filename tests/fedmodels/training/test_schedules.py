from itertools import pairwise

import pytest

from fedmodels.training.schedules import rate_factor

DECAYS = ("constant", "linear", "cosine")


def factors(total, warmup, decay):
    return [rate_factor(step, total, warmup_ratio=warmup, decay=decay) for step in range(total)]


def test_linear_by_hand():
    # Two of ten steps warm up; then eight steps fall from 1 to 1/8, and the eleventh would get 0.
    expected = [0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert factors(10, 0.2, "linear") == pytest.approx(expected)


def test_cosine_by_hand():
    assert factors(4, 0.0, "cosine") == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_constant_stays_after_warm_up():
    assert factors(5, 0.4, "constant") == [0.5, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_laws(decay, warmup, total):
    values = factors(total, warmup, decay)
    assert all(0.0 < value <= 1.0 for value in values)
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)


@pytest.mark.parametrize("decay", DECAYS)
def test_rounds_continue_one_schedule(decay):
    # Three rounds of 4 steps are the 12 steps of one training: nothing starts again between them.
    whole = factors(12, 0.25, decay)
    rounds = [
        rate_factor(passed * 4 + step, 12, warmup_ratio=0.25, decay=decay)
        for passed in range(3)
        for step in range(4)
    ]
    assert rounds == whole
    after_warm_up = rounds[2:]
    assert max(abs(b - a) for a, b in pairwise(after_warm_up)) < 0.2


@pytest.mark.parametrize("decay", DECAYS)
def test_steps_beyond_the_plan_stay_at_the_end(decay):
    last = rate_factor(9, 10, warmup_ratio=0.1, decay=decay)
    assert rate_factor(25, 10, warmup_ratio=0.1, decay=decay) == last > 0.0
