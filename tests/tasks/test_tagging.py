"""A task run's tags say run, party and round, from whatever its arguments state."""

from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest

from fedmodels.protocol.messages import Announcement
from tasks import tagging
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


@pytest.mark.parametrize("away", [False, True])
def test_a_flow_run_keeps_its_tags_and_gets_more_while_the_server_answers(monkeypatch, away):
    run, asked = uuid4(), []

    class Client:
        def update_flow_run(self, flow_run_id, tags):
            asked.append((flow_run_id, tags))
            if away:
                raise httpx.ConnectError("nobody answers")

    monkeypatch.setattr(tagging, "lasting_client", lambda _url: Client())
    flow_run = SimpleNamespace(id=str(run), tags=["fedcart"])
    monkeypatch.setattr(tagging, "runtime", SimpleNamespace(flow_run=flow_run))
    tagging.tag_flow_run("recipe:tiny")
    assert asked == [(run, ["fedcart", "recipe:tiny"])]
