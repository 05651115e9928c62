"""Drift on a real stack, found by schedule: check, notice, event, automation, retraining, gate, champion.

`flows.demonstrations.following_drift.play`, which is what `make demo-drift` shows too, only lets rows arrive
and looks.
"""

import random
from datetime import UTC, datetime

import pytest
from prefect.client.orchestration import SyncPrefectClient

from fedmodels.data.rows import LabelledTexts
from fedmodels.protocol.messages import Closed
from flows.demonstrations.arrivals import Arrival, with_wrong_labels
from flows.demonstrations.drift import OFF, scheduled
from flows.demonstrations.drift_scene import Scene, Timeline
from flows.demonstrations.following_drift import SPANS, play
from flows.deploying import deploy_all, whole_declaration
from flows.following import api_url
from flows.recipes import load_recipe
from infra.deployments.looking import flow_run_ending
from infra.deployments.observing import SeenRun, runs_of
from infra.layout import closed_key
from infra.waiting import wait_for
from tasks.exchange import read_message
from tasks.reading import list_runs, read_plan
from tasks.release.reading import read_release
from tests.end_to_end.federation import CLASSES, WORDS, sentences
from tests.flows.silence import silent_watch

TWEETS = ("omg", "lol", "rt", "gonna", "wanna", "dunno", "yall", "bruh", "smh", "tbh", "ikr", "fomo")
PARTY = "shop-a"
SECRET = "yolo-of-one-customer"
DRIFT = {
    "features": ["text", "label", "embedding"],
    "min_rows": 30,
    "needed": 1,
    "of": 1,
    "cool_down": 0.0,
}
BOUNDS = {"margin": 0.2, "max_ece": None, "max_party_drop": None, "max_slice_drop": None}
"""Of toy texts, which a toy model tells apart, and 24 of them on validation."""
CHECK, WATCH = "* * * * * */10", "* * * * * 4-59/10"
LONGEST = {"event_to_run": 60.0, "event_to_training": 180.0}
"""Seconds: four times what is promised of an idle machine. `make demo-drift` tells the real ones."""


def tweets(count: int) -> LabelledTexts:
    draw = random.Random("tweets")
    labels = tuple(draw.choice(CLASSES) for _ in range(count))
    said = (f"{WORDS[label]} {' '.join(draw.choices(TWEETS, k=8))} {SECRET}" for label in labels)
    return LabelledTexts(tuple(f"{words} {number}" for number, words in enumerate(said)), labels)


@pytest.fixture(scope="module")
def scene(federation):
    """A stack with a champion of the recipe `drifting`, on whose server checks and watch run all the time."""
    path = str(
        federation.recipe(
            "drifting",
            num_rounds=3,
            drift=DRIFT,
            release=BOUNDS,
            local={"epochs": 15, "batch_size": 16, "learning_rate": 0.006},
        )
    )
    assert federation.call("data", "prepare", "--recipe", path).returncode == 0
    recipe, server = load_recipe(path), api_url(federation.home)
    quiet = whole_declaration(recipe, path, federation.home, OFF)
    deploy_all(quiet, server)
    federation.document("train", "--recipe", path, "--run", "drifting-1")
    released = federation.document("release", "propose", "drifting-1", "--reason", "the first")
    assert released["state"] == "Completed", released
    deploy_all(scheduled(quiet, PARTY, recipe.name, check=CHECK, watch=WATCH), server)
    yield Scene(federation.home, recipe, server)
    deploy_all(quiet, server)


@pytest.fixture(scope="module")
def measured():
    """Seconds of each retraining so far."""
    return []


@pytest.fixture
def timeline():
    return Timeline(lambda seconds, words: print(f"{seconds:6.1f} s  {words}"))


def retrainings(scene: Scene) -> list[SeenRun]:
    """Those of the recipe so far; no other recipe of this stack is trained again."""
    found = runs_of("retraining", api_url=scene.server)
    tagged = runs_of("retraining", api_url=scene.server, tag="recipe:drifting")
    assert [run.id for run in found] == [run.id for run in tagged]
    return found


def test_rows_of_the_same_kind_start_nothing(scene, timeline):
    texts, labels = zip(*sentences(PARTY, 90), strict=True)
    rows = LabelledTexts(tuple(text.upper() for text in texts), labels)
    found = play(scene, Arrival(PARTY, rows, "the same in capitals"), timeline, silent_watch)
    assert found["drift"] == {"party": PARTY, "detected": False, "rows": 90, "features": [], "scores": []}
    assert (found["run_id"], found["gate"]) == (None, {"verdict": None, "checks": []})
    assert found["champion"]["before"] == found["champion"]["after"] != {}
    assert scene.notices(PARTY) == set()
    assert set(found["seconds"]) == set(SPANS)
    assert set(found["unmeasured"]) == {name for name, value in found["seconds"].items() if value is None}
    assert retrainings(scene) == []


def test_what_is_learned_of_wrong_labels_is_refused(scene, timeline, measured):
    arrival = Arrival(PARTY, with_wrong_labels(tweets(300)), "tweets, each with a wrong label")
    found = play(scene, arrival, timeline, silent_watch)
    measured.append(found["seconds"])
    assert found["drift"]["detected"]
    assert found["run_id"] != found["champion"]["before"]["run"]
    assert found["retraining"]["state"] == "Refused", found["retraining"]
    assert found["gate"]["verdict"] == "refused"
    failed = {check["name"] for check in found["gate"]["checks"] if check["verdict"] == "failed"}
    assert "non-inferiority" in failed
    assert found["champion"]["before"] == found["champion"]["after"]


def test_drift_at_a_party_trains_again_and_moves_the_champion(scene, timeline, federation, measured):
    store, known = scene.store, scene.notices(PARTY)
    found = play(scene, Arrival(PARTY, tweets(80), "tweets"), timeline, silent_watch)
    assert found["drift"]["detected"]
    assert found["drift"]["party"] == PARTY
    assert "text" in found["drift"]["features"] == sorted({s["feature"] for s in found["drift"]["scores"]})
    (notice,) = scene.notices(PARTY) - known
    assert SECRET.encode() not in store.read(notice)

    for seconds in (*measured, found["seconds"]):
        assert list(seconds) == list(SPANS)
        assert 0 < seconds["event_to_retraining"] < seconds["event_to_run"] < seconds["event_to_training"]
        assert seconds["event_to_training"] < seconds["event_to_decision"]
        assert all(seconds[name] <= bound for name, bound in LONGEST.items()), seconds
    started = [run for run in retrainings(scene) if run.state != "NotStarted"]
    assert [run.state for run in started] == ["Refused", "Completed"]
    assert found["gate"]["verdict"] == "passed", found["gate"]
    before, after = found["champion"]["before"], found["champion"]["after"]
    assert after["run"] == found["run_id"] != before["run"]
    assert after["release"] > before["release"]
    assert set(read_plan(store, after["run"]).parties) == {"shop-a", "shop-b"}
    reason = read_release(store, "drifting", after["release"]).request.reason
    assert reason.startswith("drift at shop-a: ")

    moved = datetime.now(UTC).timestamp()
    again = wait_for(lambda: next_check(scene, moved), timeout=60)
    assert again is not None
    assert again.state == "NotChecked", "the new champion has met all fresh rows"
    opened = set(federation.opened.read_text().splitlines())
    assert not any(path.startswith(str(federation.private)) for path in opened)


def next_check(scene: Scene, since: float) -> SeenRun | None:
    """The first scheduled check of the party that began since then and was not left out."""
    runs = runs_of("drift-monitoring", deployment=f"{PARTY}.drifting", since=since, api_url=scene.server)
    return next((run for run in runs if run.scheduled and run.ended and run.state != "Cancelled"), None)


def scheduled_training(scene: Scene) -> tuple[str, str]:
    """State and message in which what the schedule of every night starts has ended."""
    with SyncPrefectClient(scene.server) as client:
        nightly = client.read_deployment_by_name("federated-training/nightly-drifting")
        run = str(client.create_flow_run_from_deployment(nightly.id).id)
    return wait_for(lambda: flow_run_ending(run, api_url=scene.server), timeout=90)


def test_a_training_by_schedule_is_started_and_beside_an_open_one_left_out(scene):
    """By hand, so that nobody waits for two o'clock."""
    before = set(list_runs(scene.store))
    state, said = scheduled_training(scene)
    assert state == "Started", said
    assert scheduled_training(scene)[0] == "LeftOut"
    run = said.split()[2]
    closed = wait_for(lambda: read_message(scene.store, closed_key(run), Closed), timeout=180)
    assert closed.status == "finished"
    assert set(list_runs(scene.store)) - before == {run}
