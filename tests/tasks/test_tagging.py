"""A task run's tags say run, party and round, from whatever its arguments state."""

from fedmodels.protocol.messages import Announcement
from tasks.tagging import tagged, tags_of


def announcement() -> Announcement:
    return Announcement(
        run="r1", round=3, passed_rounds=2, model_sha256="0" * 64, cohort=("a",), round_timeout=1
    )


def test_a_message_names_run_and_round():
    assert tags_of({"announcement": announcement(), "party": "shop-a"}) == [
        "party:shop-a",
        "round:3",
        "run:r1",
    ]


def test_a_number_counts_where_it_is_called_so():
    assert tags_of({"round_number": 2, "other": 7}) == ["round:2"]


def test_outside_a_task_it_only_calls():
    assert tagged(lambda value: value + 1)(1) == 2
