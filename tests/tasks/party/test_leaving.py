"""A party that left stays out until a person lets it come back."""

import pytest

from fedmodels.errors import PolicyForbids
from tasks.party.leaving import has_left, leave, note_leaving, noted_leaving, refuse_left


def test_a_party_that_left_joins_nothing_until_a_person_lets_it(tmp_path):
    refuse_left(tmp_path, "own", "shop-a")
    leave(tmp_path, "own")
    leave(tmp_path, "own")
    with pytest.raises(PolicyForbids, match=r"remove withdrawn/own\.left") as caught:
        refuse_left(tmp_path, "own", "shop-a")
    assert caught.value.code == "party-left"
    assert has_left(tmp_path, "own")
    assert not has_left(tmp_path, "other")


def test_a_leaving_is_noted_by_its_last_notice(tmp_path):
    assert noted_leaving(tmp_path, "own") == 0
    note_leaving(tmp_path, "own", 3)
    note_leaving(tmp_path, "own", 2)
    assert (noted_leaving(tmp_path, "own"), noted_leaving(tmp_path, "other")) == (3, 0)
    assert not has_left(tmp_path, "own")
