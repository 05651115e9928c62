"""A party's session that hangs for ever, on real processes: what a resume makes of it."""

import os
import shutil

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from flows.following import api_url
from infra.waiting import wait_for


def states_of_sessions(federation, run, party):
    """How each session of the party in the run stands, in the order of their starts."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"run:{run}", f"party:{party}"]))
    with SyncPrefectClient(api_url(federation.home)) as client:
        found = client.read_flow_runs(flow_run_filter=wanted)
    return [made.state.type.value for made in sorted(found, key=lambda made: made.created)]


def test_a_resume_starts_another_session_beside_one_that_hangs(federation):
    """Opening a table that is a pipe hangs, as one on a disk that is gone does, and the heart beats on."""
    table = federation.private / "hanging.csv"
    shutil.copy(federation.private / "shop-b.csv", table)
    path = federation.recipe("hanging", num_rounds=1, join_timeout=20.0, round_timeout=120.0)
    document = yaml.safe_load(path.read_text())
    document["data"]["parties"]["shop-b"] = {"train": str(table)}
    path.write_text(yaml.safe_dump(document))
    assert federation.call("data", "prepare", "--recipe", str(path)).returncode == 0
    sound = table.rename(table.with_suffix(".sound"))
    os.mkfifo(table)
    done = federation.call("train", "--recipe", str(path), "--run", "hanging-1")
    assert "shop-b: no answer yet" in " ".join(done.stderr.split())
    assert states_of_sessions(federation, "hanging-1", "shop-b") == ["RUNNING"]
    sound.rename(table)
    document = federation.document("train", "--resume", "hanging-1")
    assert document["status"] == "finished"
    assert document["rounds"][-1]["accepted"] == ["shop-a", "shop-b"]
    ended = ["CANCELLED", "COMPLETED"]
    assert wait_for(lambda: states_of_sessions(federation, "hanging-1", "shop-b") == ended, timeout=60.0)
