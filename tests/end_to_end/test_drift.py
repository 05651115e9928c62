"""Drift at one party on a real stack: check, notice, watch, event, automation, retraining, champion."""

import random
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from flows.deploying import deploy_all, whole_declaration
from flows.following import api_url, coordinator_store
from flows.recipes import load_recipe
from infra.layout import drift_prefix
from infra.role_settings import update_role_settings
from infra.settings import Schedules
from infra.waiting import wait_for
from tasks.reading import read_plan
from tasks.release_reading import read_champion, read_release
from tests.end_to_end.federation import CLASSES, Federation, sentences, write_csv

TWEETS = ("omg", "lol", "rt", "gonna", "wanna", "dunno", "yall", "bruh", "smh", "tbh", "ikr", "fomo")
SECRET = "yolo-of-one-customer"
DRIFT = {
    "features": ["text", "label", "embedding"],
    "min_rows": 30,
    "needed": 1,
    "of": 1,
    "cool_down": 0.0,
}
ANYTHING = {"margin": 0.99, "max_party_drop": None, "max_slice_drop": None, "max_ece": None}
"""A gate for models that learn nothing worth a release."""


def tweets(count: int) -> list[tuple[str, str]]:
    draw = random.Random("tweets")
    words = [" ".join(draw.choices(TWEETS, k=8)) for _ in range(count)]
    return [(f"{said} {SECRET} {number}", draw.choice(CLASSES)) for number, said in enumerate(words)]


def finished(federation: Federation, deployment: str, **parameters) -> FlowRun:
    """Run a deployment to its end."""
    with SyncPrefectClient(api_url(federation.home)) as client:
        found = client.read_deployment_by_name(deployment)
        begun = client.create_flow_run_from_deployment(found.id, parameters=parameters, job_variables={})
        return ended(client, begun.id)


def ended(client: SyncPrefectClient, flow_run: UUID) -> FlowRun:
    def look() -> FlowRun | None:
        run = client.read_flow_run(flow_run)
        return run if run.state and run.state.is_final() else None

    found = wait_for(look, timeout=240, first_wait=0.5, longest_wait=1.0)
    assert found is not None
    return found


def retrainings(client: SyncPrefectClient) -> list[FlowRun]:
    wanted = FlowFilter(name=FlowFilterName(any_=["retraining"]))
    return client.read_flow_runs(flow_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


@pytest.fixture(scope="module")
def released(federation) -> Federation:
    """A stack with a champion of the recipe `drifting`."""
    recipe = federation.recipe("drifting", num_rounds=1, drift=DRIFT, release=ANYTHING)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    off = Schedules(**dict.fromkeys(Schedules.model_fields, "off"))
    declaration = whole_declaration(load_recipe(str(recipe)), str(recipe), federation.home, off)
    deploy_all(declaration, api_url(federation.home))
    federation.document("train", "--recipe", str(recipe), "--run", "drifting-1")
    run = finished(federation, "model-release/coordinator", run="drifting-1")
    assert run.state.name == "Completed", run.state.message
    return federation


def fresh(federation: Federation, party: str, rows: list[tuple[str, str]]) -> None:
    path = write_csv(federation.private / f"fresh-{party}.csv", rows)
    update_role_settings(federation.home, party, {"tables": {"drifting": {"fresh": str(path)}}})


def test_rows_of_the_same_kind_start_nothing(released):
    fresh(released, "shop-b", [(text.upper(), label) for text, label in sentences("shop-b", 90)])
    checked = finished(released, "drift-monitoring/shop-b", recipe="drifting")
    assert checked.state.is_completed(), checked.state.message
    finished(released, "drift-watch/coordinator")
    store = coordinator_store(released.home)
    assert list(store.list_keys(drift_prefix("shop-b"))) == []
    with SyncPrefectClient(api_url(released.home)) as client:
        assert retrainings(client) == []


def test_drift_at_a_party_trains_again_and_moves_the_champion(released):
    store = coordinator_store(released.home)
    before = read_champion(store, "drifting")
    fresh(released, "shop-a", tweets(80))
    by_hand = released.call("drift", "check", "--party", "shop-a", "--recipe", "drifting")
    assert by_hand.returncode == 3, by_hand.stderr
    checked = finished(released, "drift-monitoring/shop-a", recipe="drifting")
    assert checked.state.is_completed(), checked.state.message
    (notice,) = store.list_keys(drift_prefix("shop-a"))
    assert SECRET.encode() not in store.read(notice)
    finished(released, "drift-watch/coordinator")
    with SyncPrefectClient(api_url(released.home)) as client:
        (begun,) = wait_for(lambda: retrainings(client), timeout=30) or [None]
        assert begun is not None, "the automation started nothing"
        assert begun.parameters["recipe"] == "drifting"
        assert begun.parameters["reason"]["notice"] == notice
        assert "text" in begun.parameters["reason"]["features"]
        retrained = ended(client, begun.id)
    assert retrained.state.name == "Completed", retrained.state.message
    after = read_champion(store, "drifting")
    assert (after.release, after.run != before.run) == (before.release + 1, True)
    assert set(read_plan(store, after.run).parties) == {"shop-a", "shop-b"}
    assert read_release(store, "drifting", after.release).request.reason.startswith("drift at shop-a: ")
    again = finished(released, "drift-monitoring/shop-a", recipe="drifting")
    assert again.state.name == "NotChecked", "the new champion has met all fresh rows"
    opened = set(released.opened.read_text().splitlines())
    assert not any(path.startswith(str(released.private)) for path in opened)
