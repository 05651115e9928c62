"""A session that died is started again, a bounded number of times and ever later."""

import pytest

from fedmodels.protocol.restarts import restart_after, session_fate


def test_waits_double_and_end():
    assert [restart_after(deaths) for deaths in (1, 2, 3, 4, 5)] == [1.0, 2.0, 4.0, None, None]
    assert restart_after(9, allowed=20) == 30.0
    assert restart_after(1, allowed=0) is None


@pytest.mark.parametrize(
    ("state", "code", "fate"),
    [
        (None, "", "alive"),
        ("RUNNING", "", "alive"),
        ("PENDING", "", "alive"),
        ("COMPLETED", "", "left"),
        ("UNKNOWN", "", "left"),
        ("CRASHED", "", "restart"),
        ("FAILED", "", "restart"),
        ("FAILED", "store-unavailable", "restart"),
        ("FAILED", "key-mismatch", "lost"),
        ("CANCELLED", "", "lost"),
        ("CANCELLING", "", "lost"),
    ],
)
def test_what_a_flow_runs_state_asks_for(state, code, fate):
    assert session_fate(state, code) == fate
