"""The record of a round, from whatever its parties claim."""

import pytest
from pydantic import ValidationError

from fedmodels.protocol.deciding import Collected
from fedmodels.protocol.messages import Receipt, RoundBytes
from fedmodels.protocol.recording import party_rows


def test_what_a_party_claims_can_be_added_up():
    """Numbers of a receipt go into sums of the record, which must be numbers of a record too."""
    claimed = {"run": "r", "round": 1, "party": "shop-a", "base_sha256": "0" * 64, "update_sha256": None}
    for excess in ({"seconds": {"a": 1e308, "b": 1e308}}, {"bytes_down": 10**4299}):
        with pytest.raises(ValidationError):
            Receipt.model_validate({**claimed, **excess})
    most = {"seconds": {str(n): 1e12 for n in range(1000)}, "bytes_down": 2**53}
    receipt = Receipt.model_validate({**claimed, **most})
    row = party_rows([Collected(party="shop-a", receipt=receipt)], {})["shop-a"]
    assert (row.seconds, row.bytes_down) == (1e15, 2**53)
    assert RoundBytes(up=0, down=1000 * row.bytes_down).down == 1000 * 2**53
