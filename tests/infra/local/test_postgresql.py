"""The Prefect server on a real PostgreSQL, where one is installed."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from fedmodels.errors import InputError, StackError
from infra.deployments.starting import start_party_session
from infra.local import prefect_server, stack
from infra.local.ports import HOST, answers, free_ports
from infra.local.status import status
from infra.locations import stack_folder
from infra.waiting import wait_for
from tests.infra.local.test_stack import finished

PASSWORD = "a-secret-of-the-test"


def programs() -> Path | None:
    """Folder of initdb and postgres, if there is one."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(found).parent if found else None


@pytest.fixture(scope="module")
def postgresql():
    """URL of a server that was started for this; PostgreSQL refuses to run as root."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL is installed: neither initdb on the path nor in /usr/lib/postgresql")
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    as_user = {"user": user, "cwd": "/"} if os.geteuid() == 0 else {"cwd": "/"}
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="fedcart-pg-") as home:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
        secret = Path(home) / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = f"{home}/data"
        made = [
            folder / "initdb",
            "-D",
            data,
            "-U",
            "cart",
            "-A",
            "scram-sha-256",
            f"--pwfile={secret}",
            "-N",
        ]
        done = subprocess.run(made, capture_output=True, text=True, check=False, **as_user)
        assert done.returncode == 0, done.stderr
        server = subprocess.Popen(
            [folder / "postgres", "-D", data, "-p", str(port), "-h", HOST, "-k", home, "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_user,
        )
        try:
            assert wait_for(lambda: answers(port), timeout=30)
            yield f"postgresql://cart:{PASSWORD}@{HOST}:{port}/postgres"
        finally:
            server.terminate()
            server.wait(timeout=30)


def test_a_stack_on_postgresql_keeps_its_password_to_itself(tmp_path, bring_up, postgresql):
    home = tmp_path.resolve()
    try:
        running = bring_up(home, database=postgresql)
        flow_run = start_party_session("on-postgresql", "shop-a", api_url=running.api_url)
        assert finished(flow_run, running) == "COMPLETED"
        told = status(home)
        assert told.state == "up"
        assert PASSWORD not in json.dumps(told.document()) + repr(running)
        kept = stack_folder(home) / "stack.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert PASSWORD in kept.read_text()
        assert not (stack_folder(home) / "prefect" / "prefect.db").exists()
        assert PASSWORD not in "".join(log.read_text() for log in (home / "logs").glob("*.log"))
        assert bring_up(home).database == running.database, "the next up goes on with it"
        with pytest.raises(StackError, match="another database") as caught:
            bring_up(home, database="postgresql://elsewhere/x")
        assert "elsewhere" not in str(caught.value)
    finally:
        stack.down(home)


@pytest.mark.parametrize("given", ["mysql://a:b@c/d", "just words", "postgresql+psycopg2://a:b@c/d"])
def test_what_is_no_postgresql_is_refused_and_not_repeated(tmp_path, bring_up, given):
    with pytest.raises(InputError, match="not named by a URL of PostgreSQL") as caught:
        bring_up(tmp_path, database=given)
    assert given not in str(caught.value)
    assert stack.process_ids(tmp_path) == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_each_usual_spelling_becomes_the_one_that_prefect_takes(scheme):
    assert prefect_server.database_url(f"{scheme}://u:p@h/d") == "postgresql+asyncpg://u:p@h/d"
