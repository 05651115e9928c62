"""Words that depend on a number."""

import pytest

from fedmodels.words import counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 rounds"), (1, "1 round"), (2, "2 rounds")])
def test_one_is_not_many(number, said):
    assert counted(number, "round") == said
