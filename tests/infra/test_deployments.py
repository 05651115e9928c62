"""Pools and deployments: one declaration, applied again and again, and locked."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, State, StateType
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.states import Cancelling, Completed, Crashed, Paused, Pending, Running, Scheduled, Suspended

from fedmodels.errors import InputError, PrefectAway, StackError
from flows.deploying import deploy_all, whole_declaration
from flows.recipes import load_recipe
from infra.deployments import applying, drift_automation, heartbeats
from infra.deployments.applying import apply, deploy, parameter_schemas
from infra.deployments.declaration import (
    RUNS_AT_ONCE,
    WAITS,
    Declaration,
    Deployment,
    declare,
    locked_template,
    training_name,
)
from infra.deployments.looking import flow_run_outcome, flow_run_state
from infra.deployments.observing import unfinished_retrainings, unfinished_trainings
from infra.deployments.services import (
    DRIFT_FLOW,
    RETRAINING_FLOW,
    RETRAININGS_AT_ONCE,
    drift_check_name,
)
from infra.deployments.starting import cancel_party_session, start_party_session
from infra.deployments.stopped import say_stopped
from infra.local import processes, workers
from infra.local.plan import Stack
from infra.locations import logs_folder, stack_folder
from infra.settings import Schedules
from infra.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PARTIES = ("shop-a", "shop-b")
FLOWS = Path(__file__).parent / "flow_modules"
TINY = {"training_entrypoint": "tiny_flows.training", "session_entrypoint": "tiny_flows.session"}
TOMORROW = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))
WORK_ONCE = """
import asyncio, sys
from infra.deployments.locked_worker import LockedWorker
asyncio.run(LockedWorker(sys.argv[1]).start(run_once=True))
"""


def reviews(**schedules: str) -> Declaration:
    """What `fedcart deploy` applies for the recipe reviews."""
    return deployed("reviews", **schedules)


def deployed(recipe: str, **schedules: str) -> Declaration:
    """What `fedcart deploy` applies for a recipe that comes with fedcart."""
    return whole_declaration(load_recipe(recipe), recipe, Path("nowhere"), Schedules(**schedules))


@pytest.fixture
def client(running: Stack) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(running.api_url) as made:
        yield made


@pytest.fixture
def apply_tiny(running: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Apply the declaration that the stack came up with."""
    monkeypatch.syspath_prepend(FLOWS)
    return lambda: deploy(running.api_url, declare(PARTIES, **TINY))


def python(code: str, running: Stack, *arguments: str) -> None:
    environment = workers.environment(stack_folder(running.home), running.server_port)
    environment["PYTHONPATH"] = os.pathsep.join((str(FLOWS), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=running.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def is_for(process: psutil.Process, party: str) -> bool:
    """Whether it stands for a run of the party's."""
    return f"/{party}/" in process.environ().get("FEDCART_CONFIG", "")


def ended(flow_run: str, running: Stack) -> str | None:
    return wait_for(lambda: flow_run_outcome(flow_run, api_url=running.api_url), timeout=90, first_wait=0.3)


def seen(running: Stack, party: str, run: str) -> list[list[str]]:
    log = (logs_folder(running.home) / f"worker-{party}.log").read_text()
    return [line.split()[2:] for line in log.splitlines() if line.startswith(f"SEEN {run} ")]


def test_prefect_yaml_says_what_is_declared():
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert [as_written(deployment) for deployment in reviews().deployments] == document["deployments"]
    assert document["pull"] == []


def test_each_deployment_has_a_concurrency_limit_or_says_why_it_has_none():
    for deployment in reviews().deployments:
        assert (deployment.at_once is None) == (WAITS in deployment.description), deployment


def test_retrainings_that_wait_leave_a_slot_for_each_of_their_trainings():
    (retraining,) = (each for each in reviews().deployments if each.flow == RETRAINING_FLOW)
    assert (retraining.at_once, retraining.above) == (RETRAININGS_AT_ONCE, "ENQUEUE")
    assert 1 <= 2 * RETRAININGS_AT_ONCE < RUNS_AT_ONCE


def as_written(wanted: Deployment) -> dict[str, Any]:
    """The deployment as `prefect.yaml` has to have it, key for key."""
    written: dict[str, Any] = {
        "name": wanted.name,
        "entrypoint": wanted.entrypoint,
        "description": wanted.description,
        "tags": list(wanted.tags),
        "work_pool": {"name": wanted.pool},
    }
    if wanted.parameters:
        written["parameters"] = dict(wanted.parameters)
    if wanted.schedule:
        written["schedules"] = [{"cron": wanted.schedule, "timezone": "UTC"}]
    if wanted.at_once:
        written["concurrency_limit"] = {"limit": wanted.at_once, "collision_strategy": wanted.above}
    if wanted.flow == RETRAINING_FLOW:
        written["triggers"] = [drift_automation.trigger()]
    return written


def as_standing(client: SyncPrefectClient, wanted: Deployment) -> tuple[object, ...]:
    """What the server has for the declared deployment."""
    made = client.read_deployment_by_name(f"{wanted.flow}/{wanted.name}")
    crons = [(found.schedule.cron, found.schedule.timezone, found.active) for found in made.schedules]
    limit = made.global_concurrency_limit.limit if made.global_concurrency_limit else None
    options = made.concurrency_options.collision_strategy if made.concurrency_options else None
    return made.entrypoint, made.work_pool_name, made.parameters, crons, limit, options


def as_declared(wanted: Deployment) -> tuple[object, ...]:
    crons = [(wanted.schedule, "UTC", True)] if wanted.schedule else []
    options = ConcurrencyLimitStrategy(wanted.above) if wanted.at_once else None
    return wanted.entrypoint, wanted.pool, dict(wanted.parameters), crons, wanted.at_once, options


@pytest.fixture
def put_back(client: SyncPrefectClient, apply_tiny: Callable[[], None]) -> Iterator[None]:
    """The tests' own deployments afterwards, and none that runs by a schedule."""
    yield
    for found in client.read_deployments():
        if found.schedules:
            client.delete_deployment(found.id)
    apply_tiny()


@pytest.mark.usefixtures("put_back")
def test_deploying_all_of_a_recipe_again_makes_it_once(running: Stack, client: SyncPrefectClient):
    for declaration in (reviews(), reviews(), reviews(training="off", release="5 * * * *")):
        deploy_all(declaration, running.api_url)
        for wanted in declaration.deployments:
            assert as_standing(client, wanted) == as_declared(wanted)


def drift_automations(client: SyncPrefectClient) -> list[tuple[object, ...]]:
    """What starts the retraining for an event of drift, as far as it matters."""
    retraining = client.read_deployment_by_name(f"{RETRAINING_FLOW}/coordinator").id
    found = client.read_automations()
    starts = [
        each for each in found if any(getattr(a, "deployment_id", 0) == retraining for a in each.actions)
    ]
    return [(each.name, each.enabled, each.trigger, each.actions) for each in starts]


def wanted_automations(client: SyncPrefectClient) -> list[tuple[object, ...]]:
    made = drift_automation.automation(client.read_deployment_by_name(f"{RETRAINING_FLOW}/coordinator").id)
    return [(made.name, made.enabled, made.trigger, made.actions)]


@pytest.mark.usefixtures("put_back")
def test_what_somebody_changed_of_the_automation_for_drift_is_put_back(
    running: Stack, client: SyncPrefectClient
):
    deploy_all(reviews(), running.api_url)
    (known,) = client.read_automations_by_name(drift_automation.AUTOMATION)
    changed = drift_automation.automation(uuid4())
    unowned = type(changed).model_validate(changed.model_dump(exclude={"owner_resource"}))
    client.update_automation(known.id, unowned)
    deploy_all(reviews(), running.api_url)
    assert drift_automations(client) == wanted_automations(client)
    assert [each.id for each in client.read_automations_by_name(drift_automation.AUTOMATION)] == [known.id]


@pytest.mark.usefixtures("put_back")
def test_trainings_and_retrainings_that_have_not_ended_are_known(running: Stack, client: SyncPrefectClient):
    deploy_all(reviews(), running.api_url)

    def made(flow: str, state: State[Any], **more: Any) -> None:
        deployment = client.read_deployment_by_name(f"{flow}/coordinator")
        run = client.create_flow_run_from_deployment(deployment.id, state=Pending(), **more).id
        client.set_flow_run_state(run, state, force=True)

    for run, state in {"waits": Pending(), "runs": Running(), "over": Completed()}.items():
        given = {"recipe": "reviews", "run": run}
        made("federated-training", state, name=training_name(run), tags=["recipe:reviews"], parameters=given)
    assert unfinished_trainings("reviews", api_url=running.api_url) == {"waits", "runs"}
    assert unfinished_trainings("others", api_url=running.api_url) == frozenset()
    for recipe, state in {"asks": Suspended(timeout_seconds=300), "ended": Completed()}.items():
        made(RETRAINING_FLOW, state, parameters={"recipe": recipe})
    (going,) = unfinished_retrainings(api_url=running.api_url)
    assert (going.recipe, going.suspended) == ("asks", True)


def on_the_server(client: SyncPrefectClient) -> dict[str, list[str]]:
    """Everything that a declaration is applied to, by name."""
    return {
        "flows": sorted(found.name for found in client.read_flows()),
        "pools": sorted(found.name for found in client.read_work_pools()),
        "deployments": sorted(f"{found.name} {found.created}" for found in client.read_deployments()),
    }


def test_what_two_recipes_declare_under_one_name_is_one_and_the_same():
    found: dict[tuple[str, str], Deployment] = {}
    for wanted in (each for name in ("reviews", "drift-demo") for each in deployed(name).deployments):
        assert found.setdefault((wanted.flow, wanted.name), wanted) == wanted


def test_no_two_pairs_of_party_and_recipe_have_one_name():
    assert drift_check_name("a-b", "c") != drift_check_name("a", "b-c")


@pytest.mark.usefixtures("put_back")
def test_a_second_recipe_leaves_the_drift_checks_of_the_first(running: Stack, client: SyncPrefectClient):
    both = [deployed(name) for name in ("reviews", "drift-demo")]
    for declaration in both:
        deploy_all(declaration, running.api_url)
    checks = [each for made in both for each in made.deployments if each.flow == DRIFT_FLOW]
    assert [each.name for each in checks if "music-shop" in each.name] == [
        "music-shop.reviews",
        "music-shop.drift-demo",
    ]
    for wanted in checks:
        assert as_standing(client, wanted) == as_declared(wanted)


@pytest.mark.usefixtures("put_back")
def test_a_schedule_that_is_none_is_one_sentence_and_changes_nothing(
    running: Stack, client: SyncPrefectClient
):
    before = on_the_server(client)
    with pytest.raises(InputError, match="'every day' of housekeeping is no cron expression") as caught:
        deploy_all(reviews(release="5 * * * *", housekeeping="every day"), running.api_url)
    assert caught.value.code == "schedule-invalid"
    assert on_the_server(client) == before


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("every day", "is no cron expression"),
        ("* * * * * *", "has not 5 fields"),
        ("@daily", "has not 5 fields"),
        ("0 0 30 2 *", "never falls due within 8 years"),
    ],
)
def test_a_schedule_of_seconds_or_of_no_day_is_refused(cron, said):
    """Before anything is asked of the server: there is no client."""
    with pytest.raises(InputError, match=said) as caught:
        asyncio.run(apply(None, reviews(release=cron), {}))  # type: ignore[arg-type]
    assert caught.value.code == "schedule-invalid"


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "*/15 * * * *", "0 2 * * MON-FRI"])
def test_a_schedule_that_falls_due_is_taken(cron):
    (deployment, *_) = (each for each in reviews(release=cron).deployments if each.schedule == cron)
    (made,) = asyncio.run(applying._schedules(deployment))
    assert made.schedule.cron == cron


def test_each_declared_flow_can_be_imported_under_its_name_and_takes_its_parameters():
    from prefect.flows import load_flow_from_entrypoint

    declaration = reviews()
    for deployment in declaration.deployments:
        flow = load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)
        assert flow.name == deployment.flow
    schemas = parameter_schemas(declaration)
    assert set(schemas["flows.federated_training.federated_training"]["properties"]) >= {
        "recipe",
        "run",
        "resume",
    }
    assert set(schemas["flows.party_session.party_session"]["properties"]) == {"run"}
    for deployment in declaration.deployments:
        assert set(deployment.parameters) <= set(schemas[deployment.entrypoint]["properties"])


def test_a_flow_that_cannot_be_imported_is_one_sentence():
    with pytest.raises(StackError, match=r"flows\.nowhere\.flow cannot be imported") as caught:
        parameter_schemas(declare(("shop-a", "shop-b"), session_entrypoint="flows.nowhere.flow"))
    assert caught.value.code == "flow-missing"


def test_parties_are_declared_once_and_in_order():
    assert declare(("b", "a", "b")) == declare(("a", "b"))
    assert [(d.flow, d.name) for d in declare(("b", "a")).deployments] == [
        ("federated-training", "coordinator"),
        ("party-session", "a"),
        ("party-session", "b"),
    ]


def test_applying_again_changes_nothing_but_puts_back_what_was_changed(
    client: SyncPrefectClient, apply_tiny: Callable[[], None]
):
    name = "party-session/shop-a"
    before = client.read_deployment_by_name(name)
    client.update_work_pool("fedcart-shop-a", WorkPoolUpdate(base_job_template={}, is_paused=True))
    apply_tiny()
    after = client.read_deployment_by_name(name)
    assert (after.id, after.entrypoint, after.pull_steps) == (before.id, "tiny_flows.session", [])
    pool = client.read_work_pool("fedcart-shop-a")
    assert (pool.base_job_template, pool.is_paused, pool.type) == (locked_template(), False, "process")
    limit = client.request("GET", "/v2/concurrency_limits/{name}", path_params={"name": "fedcart-gpu-shop-a"})
    assert limit.json()["limit"] == 1


def beat(client: SyncPrefectClient, run: str, ahead: timedelta = timedelta()) -> None:
    """Send a heartbeat of a run, from a machine whose clock is so far ahead."""
    event = {
        "occurred": (datetime.now(UTC) + ahead).isoformat(),
        "event": heartbeats.HEARTBEAT,
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "id": str(uuid4()),
    }
    client.request("POST", "/events", json=[event])


def heard(client: SyncPrefectClient, run: str) -> bool:
    """Whether the server has a heartbeat of a run."""
    wanted = EventFilter(
        event=EventNameFilter(name=[heartbeats.HEARTBEAT]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
    )
    return bool(client.read_events(wanted, limit=1).events)


def test_a_run_that_died_with_its_worker_is_turned_into_crashed(
    running: Stack, client: SyncPrefectClient, apply_tiny: Callable[[], None], monkeypatch
):
    """With a silence of 10 s instead of 90; heartbeats come every 30 s, so only the first one counts."""
    (known,) = client.read_automations_by_name(heartbeats.AUTOMATION)
    client.update_automation(known.id, heartbeats.automation(silence=10))
    run = start_party_session("endless", "shop-b", api_url=running.api_url)
    assert wait_for(lambda: seen(running, "shop-b", "endless"), timeout=60)
    assert wait_for(lambda: heard(client, run), timeout=30), "it sends the first one when it begins"
    folder = stack_folder(running.home)
    record = processes.read_records(folder)["worker-shop-b"]
    for process in processes.marked(folder):
        if process.name().endswith("shop-b") or process.pid == record.pid or is_for(process, "shop-b"):
            process.kill()

    def crashed() -> bool:
        return client.read_flow_run(UUID(run)).state.type.value == "CRASHED"

    # The server may learn of the shorter silence after the run began: then it waits for the usual one.
    assert wait_for(crashed, timeout=heartbeats.SILENCE_S + 15, first_wait=0.5)
    apply_tiny()
    (after,) = client.read_automations_by_name(heartbeats.AUTOMATION)
    assert (after.id, after.trigger.within.total_seconds()) == (known.id, heartbeats.SILENCE_S)

    assert flow_run_state(run, api_url=running.api_url) == "RUNNING", "a heartbeat may still come"
    for times, off in enumerate((timedelta(), timedelta(hours=-1), timedelta(hours=1)), 1):
        later = 2 * times * heartbeats.SILENCE_S
        monkeypatch.setattr(heartbeats, "monotonic", lambda later=later: time.monotonic() + later)
        assert flow_run_state(run, api_url=running.api_url) == "CRASHED"
        assert "no heartbeat" in flow_run_outcome(run, api_url=running.api_url)
        beat(client, run, off)
        alive = wait_for(lambda: flow_run_state(run, api_url=running.api_url) == "RUNNING", timeout=20)
        assert alive, f"a server that was away took a living run for dead, whose clock is off by {off}"


def begun(client: SyncPrefectClient, name: str) -> UUID:
    """A run without a process, which has begun and sent one heartbeat."""
    deployment = client.read_deployment_by_name("party-session/shop-a")
    run = client.create_flow_run_from_deployment(
        deployment.id, parameters={"run": name}, state=Pending(message="no worker takes it")
    ).id
    client.set_flow_run_state(run, Running(), force=True)
    beat(client, str(run))
    return run


def history(client: SyncPrefectClient, run: UUID) -> list[str | None]:
    return [state.name for state in client.read_flow_run_states(run)]


def crashes(client: SyncPrefectClient, run: UUID) -> bool:
    def crashed() -> bool:
        return client.read_flow_run(run).state.type is StateType.CRASHED

    return bool(wait_for(crashed, timeout=45, first_wait=0.5))


@contextmanager
def written_to_once(running: Stack, client: SyncPrefectClient, run: UUID, state: str) -> Iterator[None]:
    """Somebody else writes to the server's database for 3 s, from when the run is in `state` on."""

    def write() -> None:
        with closing(sqlite3.connect(stack_folder(running.home) / "prefect" / "prefect.db")) as database:
            now = "SELECT state_name FROM flow_run WHERE id = ?"
            while database.execute(now, (str(run),)).fetchone() != (state,):
                pass
            database.execute("BEGIN IMMEDIATE")
            Event().wait(3)
            database.rollback()

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        yield
        writing.result()


@pytest.fixture
def quick(client: SyncPrefectClient) -> Iterator[None]:
    """An automation of 10 s instead of 90 beside the standing one."""
    made = client.create_automation(heartbeats.automation(silence=10).model_copy(update={"name": "quick"}))
    yield
    client.delete_automation(made)


@pytest.mark.usefixtures("quick")
def test_runs_that_wait_for_a_person_are_not_taken_for_dead(running: Stack, client: SyncPrefectClient):
    """Nor when SQLite is locked while the server notes it. A silent run tells when 10 s are over."""
    states = {}
    for waits in (Suspended, Paused):
        run, waiting = begun(client, "waiting"), waits(timeout_seconds=300)
        with written_to_once(running, client, run, waiting.name or ""):
            client.set_flow_run_state(run, waiting)
        states[run] = waiting.name
    assert not list((stack_folder(running.home) / "prefect").glob("dlq/*")), "an event was laid aside"
    assert crashes(client, begun(client, "silent"))
    for run, name in states.items():
        assert history(client, run) == ["Pending", "Running", name]
        client.set_flow_run_state(run, Running(), force=True)
        beat(client, str(run))
    assert all(crashes(client, run) for run in states), "once they go on they are watched again"


@pytest.mark.usefixtures("quick")
def test_a_run_that_waits_is_not_taken_for_dead_whatever_the_server_missed(client: SyncPrefectClient):
    """A heartbeat that follows the state stands for a lost event of the state: it arms the automation."""
    runs = [begun(client, "waiting") for _ in range(2)]
    for run, state in zip(runs, (Suspended(timeout_seconds=300), TOMORROW), strict=True):
        client.set_flow_run_state(run, state, force=True)
        beat(client, str(run))
    assert crashes(client, begun(client, "silent"))
    assert [history(client, run)[-1] for run in runs] == ["Suspended", "Scheduled"]
    client.set_flow_run_state(runs[0], Crashed(message="its worker says so"))
    assert history(client, runs[0])[-1] == "Crashed"


def test_what_was_stopped_with_its_stack_is_told_unless_prefect_knows_its_end(
    running: Stack, client: SyncPrefectClient
):
    states = [Running(), Pending(), Cancelling(), Completed(), Suspended(timeout_seconds=300)]
    runs = [begun(client, "stopped") for _ in states]
    for run, state in zip(runs, states, strict=True):
        client.set_flow_run_state(run, state, force=True)
    say_stopped(map(str, runs), "its stack was stopped", api_url=running.api_url)
    ends = [client.read_flow_run(run).state for run in runs]
    assert [end.name for end in ends] == ["Crashed", "Crashed", "Cancelled", "Completed", "Suspended"]
    assert [end.message for end in ends[:3]] == ["its stack was stopped"] * 3


def test_the_server_refuses_job_variables(running: Stack, client: SyncPrefectClient):
    deployment = client.read_deployment_by_name("party-session/shop-a")
    for variables in ({"command": "touch x"}, {"env": {"INJECTED": "1"}}, {"working_dir": "/"}):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            client.create_flow_run_from_deployment(
                deployment.id, parameters={"run": "refused"}, job_variables=variables
            )
        assert caught.value.response.status_code in {409, 422}


def test_the_worker_ignores_a_template_that_was_opened_on_the_server(
    running: Stack, client: SyncPrefectClient, tmp_path: Path
):
    from prefect.workers.process import ProcessWorker

    trace = tmp_path / "trace"
    command = f"touch {trace}"
    opened = ProcessWorker.get_default_base_job_template()
    opened["job_configuration"]["env"] = {"INJECTED": "by-template"}
    client.update_work_pool("fedcart-shop-b", WorkPoolUpdate(base_job_template=opened))
    try:
        deployment = client.read_deployment_by_name("party-session/shop-b")
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"run": "locked"},
            job_variables={"command": command, "env": {"INJECTED": "by-run"}, "working_dir": str(tmp_path)},
        )
        assert ended(str(run.id), running) == "Completed"
    finally:
        client.update_work_pool("fedcart-shop-b", WorkPoolUpdate(base_job_template=locked_template()))
    assert not trace.exists()
    assert seen(running, "shop-b", "locked") == [["shop-b", "None", "fresh-folder"]]


def test_a_pool_that_a_worker_re_creates_or_finds_emptied_is_locked(
    running: Stack, client: SyncPrefectClient
):
    party = f"gone-{uuid4().hex[:6]}"
    python(WORK_ONCE, running, party)
    assert client.read_work_pool(f"fedcart-{party}").base_job_template == locked_template()
    client.update_work_pool(f"fedcart-{party}", WorkPoolUpdate(base_job_template={}))
    python(WORK_ONCE, running, party)
    assert client.read_work_pool(f"fedcart-{party}").base_job_template == locked_template()


@pytest.mark.usefixtures("put_back")
def test_prefect_deploy_all_makes_the_same_deployments(running: Stack, client: SyncPrefectClient):
    declaration = reviews()
    deploy_all(declaration, running.api_url)
    known = {pool.name for pool in client.read_work_pools()}
    for pool in declaration.pools:
        if pool.name not in known:
            body = {"name": pool.name, "type": "process", "base_job_template": locked_template()}
            client.request("POST", "/work_pools/", json=body)
    environment = workers.environment(stack_folder(running.home), running.server_port)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env={**environment, "PREFECT_HOME": str(running.home / "cli")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in declaration.deployments:
        made = client.read_deployment_by_name(f"{wanted.flow}/{wanted.name}")
        assert as_standing(client, wanted) == as_declared(wanted)
        assert (made.description, sorted(made.tags)) == (wanted.description, sorted(wanted.tags))
        assert (made.pull_steps or [], made.path, made.job_variables) == ([], None, {})
    assert drift_automations(client) == wanted_automations(client), "one, whoever deployed before"
    deploy_all(declaration, running.api_url)
    assert drift_automations(client) == wanted_automations(client), "and whoever deploys again"


def test_an_unknown_deployment_or_run_is_said(running: Stack):
    with pytest.raises(StackError, match="does not know the deployment party-session/nobody"):
        start_party_session("run", "nobody", api_url=running.api_url)
    assert flow_run_state(str(uuid4()), api_url=running.api_url) == "UNKNOWN"
    assert flow_run_outcome(str(uuid4()), api_url=running.api_url) is None


def test_a_session_is_cancelled_as_that_of_its_party_and_run_alone(running: Stack):
    """Which flow run its session is, a party says: it might name another party's."""
    url = running.api_url
    session = start_party_session("endless-session", "shop-a", api_url=url)
    assert wait_for(lambda: flow_run_state(session, api_url=url) == "RUNNING", timeout=60.0)
    cancel_party_session("endless-session", "shop-b", session, api_url=url)
    cancel_party_session("another", "shop-a", session, api_url=url)
    assert flow_run_state(session, api_url=url) == "RUNNING"
    cancel_party_session("endless-session", "shop-a", session, api_url=url)
    assert wait_for(lambda: flow_run_state(session, api_url=url) == "CANCELLED", timeout=60.0)


def test_parameters_that_the_flow_does_not_take_are_refused(running: Stack, client: SyncPrefectClient):
    deployment = client.read_deployment_by_name("party-session/shop-a")
    with pytest.raises(httpx.HTTPStatusError):
        client.create_flow_run_from_deployment(deployment.id, parameters={"run": {"not": "an id"}})


def test_a_server_that_does_not_answer_is_said_soon(monkeypatch):
    nowhere = "http://127.0.0.1:9/api"
    assert flow_run_state(str(UUID(int=0)), api_url=nowhere) is None
    with pytest.raises(PrefectAway, match="does not answer") as caught:
        start_party_session("run", "shop-a", api_url=nowhere)
    assert caught.value.code == "prefect-unreachable"
