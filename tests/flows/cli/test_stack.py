"""`fedcart up`, `status`, `doctor` and `down` as a person or a program sees them, on a real stack."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelled
from typer.testing import CliRunner, Result

from fedmodels.errors import InputError, RunConflict, StackError
from flows.cli.main import app
from flows.following import api_url, follow
from flows.recipes import load_recipe
from infra.deployments.starting import find_training, start_training
from infra.deployments.starting_once import start_new_training
from infra.local import processes, stack
from infra.local.plan import plan_stack, write_stack
from infra.locations import role_settings, stack_folder
from infra.role_settings import update_role_settings
from infra.waiting import wait_for


def fedcart(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"FEDCART_HOME": str(home)})


def document(result: Result) -> dict[str, Any]:
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home").resolve()
    try:
        up = fedcart(folder, "up", "--recipe", "smoke", "--json")
        assert up.exit_code == 0, up.output
        assert document(up)["state"] == "up"
        yield folder
    finally:
        stack.down(folder)


def test_status_shows_what_runs_where(home: Path):
    told = document(fedcart(home, "status", "--json"))
    assert told["state"] == "up"
    assert told["ui_url"] == f"http://127.0.0.1:{told['processes'][1]['port']}"
    assert [p["name"] for p in told["processes"][:3]] == ["store", "server", "worker-coordinator"]
    assert {p["state"] for p in told["processes"]} == {"running"}
    shown = fedcart(home, "status").stdout
    assert all(str(p["pid"]) in shown and p["role"] in shown for p in told["processes"])
    assert told["ui_url"] in shown


def test_doctor_finds_nothing_wrong_on_a_fresh_stack(home: Path):
    result = fedcart(home, "doctor", "--json")
    told = document(result)
    assert [check for check in told["checks"] if check["passed"] is not True] == []
    assert result.exit_code == 0
    names = {check["check"] for check in told["checks"]}
    assert names >= {"a key is created once", "a key is swapped once", "damaged bytes are refused", "GPU"}
    assert {f"signing key of {party}" for party in ("coordinator", *_parties(home))} <= names
    assert {f"{party} is kept to its prefix" for party in _parties(home)} <= names


def test_doctor_fails_when_a_key_is_exposed_or_the_store_refuses_a_role(home: Path):
    party = _parties(home)[0]
    key = role_settings(home, party).parent / "signing-key.pem"
    key.chmod(0o644)
    update_role_settings(home, party, {"s3_secret_access_key": "wrong"})
    result = fedcart(home, "doctor", "--json")
    failed = {check["check"]: check["detail"] for check in document(result)["checks"] if not check["passed"]}
    assert result.exit_code == 1
    assert "0644" in failed[f"signing key of {party}"]
    assert "store-credentials" in failed[f"the store takes {party}"]
    assert len(failed) == 2
    assert "FAILED" in fedcart(home, "doctor").stdout
    key.chmod(0o600)
    assert fedcart(home, "up", "--recipe", "smoke").exit_code == 0
    assert fedcart(home, "doctor").exit_code == 0


def test_status_says_what_died_with_the_end_of_its_log_and_fails(home: Path):
    record = processes.read_records(stack_folder(home))["worker-coordinator"]
    os.kill(record.pid, signal.SIGKILL)
    assert wait_for(lambda: record.process is None, timeout=10)
    result = fedcart(home, "status")
    assert result.exit_code == 1
    assert "worker-coordinator died; the end of " in result.stdout
    assert "Worker 'coordinator' started!" in result.stdout


def test_a_run_that_nobody_would_begin_is_refused(home: Path):
    assert "worker-coordinator" not in stack.living_parts(home)
    refused = fedcart(home, "train", "--recipe", "smoke", "--run", "nobody-1")
    assert isinstance(refused.exception, StackError)
    assert refused.exception.code == "worker-down"
    assert "run fedcart up" in str(refused.exception)


@pytest.mark.timeout(60)
def test_a_run_whose_worker_died_before_it_began_is_given_up(home: Path):
    flow_run = start_training({"name": "smoke"}, "nobody-2", api_url=api_url(home))
    with pytest.raises(StackError, match="died before it began run nobody-2; run fedcart up") as caught:
        follow(home, "nobody-2", flow_run)
    assert caught.value.code == "worker-down"


def test_of_several_starts_of_one_new_run_one_is_made_and_the_others_are_told(home: Path):
    """The coordinator's worker is dead: none of them begins, and no plan stands in the bucket."""
    server = api_url(home)
    together = threading.Barrier(4)

    def start(_number: int) -> str:
        together.wait()
        try:
            return start_new_training({"name": "smoke"}, "nobody-3", api_url=server)
        except RunConflict as error:
            return f"{error.code}: {error}"

    with ThreadPoolExecutor(4) as threads:
        said = sorted(threads.map(start, range(4)), key=len)
    (made,) = {said[0]} - set(said[1:])
    assert set(said[1:]) == {
        "run-exists: The run nobody-3 is being started already; choose another name, or watch it with "
        "fedcart runs follow nobody-3."
    }
    assert find_training("nobody-3", api_url=server) == made
    with SyncPrefectClient(server) as client:
        client.set_flow_run_state(UUID(made), Cancelled(), force=True)
    again = start_new_training({"name": "smoke"}, "nobody-3", api_url=server)
    assert again != made, "a start that came to nothing may be repeated"


def test_down_stops_everything_and_is_harmless_twice(home: Path):
    told = document(fedcart(home, "down", "--json"))
    assert {"server", "store"} <= set(told["stopped"])
    assert stack.process_ids(home) == []
    assert "nothing was running" in fedcart(home, "down").stdout
    result = fedcart(home, "status")
    assert result.exit_code == 1
    assert "fedcart up" in result.stdout
    told = document(fedcart(home, "status", "--json"))
    assert told["state"] == "down"
    assert [told[name] for name in ("ui_url", "api_url", "s3_endpoint")] == [None] * 3


@pytest.mark.parametrize(
    ("had", "options", "begun"),
    [
        (None, (), load_recipe("reviews").parties),
        (("shop-y", "shop-z"), (), ("shop-y", "shop-z")),
        (("shop-y", "shop-z"), ("--recipe", "smoke"), load_recipe("smoke").parties),
    ],
)
def test_up_goes_on_with_the_parties_that_the_stack_has_unless_a_recipe_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    had: tuple[str, ...] | None,
    options: tuple[str, ...],
    begun: tuple[str, ...],
):
    if had:
        anew = {"bucket": None, "server_port": None, "s3_port": None, "server_lives": False}
        write_stack(plan_stack(tmp_path, had, store_lives=False, **anew))
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(stack, "up", lambda _home, parties, **_others: asked.append(parties))
    assert fedcart(tmp_path, "up", *options).exit_code == 0
    assert asked == [begun]


def test_up_for_an_unknown_recipe_starts_nothing(tmp_path: Path):
    result = fedcart(tmp_path, "up", "--recipe", "no-such-recipe")
    assert isinstance(result.exception, InputError)
    assert stack.process_ids(tmp_path) == []


@pytest.mark.parametrize(
    ("option", "port", "said"),
    [
        (
            "--s3-port",
            "99999",
            "The port 99999 of the object store is not between 1 and 55535, since it also needs the port"
            " 10000 above; choose",
        ),
        ("--server-port", "0", "The port 0 of the Prefect server is not between 1 and 65535"),
    ],
)
def test_what_is_no_port_starts_nothing(tmp_path: Path, option: str, port: str, said: str):
    result = fedcart(tmp_path, "up", "--recipe", "smoke", option, port)
    assert isinstance(result.exception, InputError)
    assert (result.exception.code, result.exception.exit_status) == ("port-invalid", 2)
    assert str(result.exception).startswith(said)
    assert stack.process_ids(tmp_path) == []


def _parties(home: Path) -> list[str]:
    return list(document(fedcart(home, "status", "--json"))["parties"])
