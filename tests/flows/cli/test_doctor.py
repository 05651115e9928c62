"""`fedcart doctor` where there is no whole stack: nothing passes that was not looked at."""

import json

import pytest
from typer.testing import CliRunner

from fedmodels.errors import StackError
from flows.cli.main import app
from infra.locations import role_settings
from infra.settings import load_role_settings
from tests.store_alone import store_alone

MACHINE = ["Python 3.11", "package versions", "free disk space", "GPU"]


def doctor(home, **variables):
    done = CliRunner().invoke(app, ["doctor", "--json"], env={"FEDCART_HOME": str(home), **variables})
    return done, {check["check"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("stack"), ("shop-a", "shop-b")) as home:
        yield home


def test_without_a_stack_the_store_is_said_to_be_unchecked(tmp_path):
    done, checks = doctor(tmp_path)
    assert list(checks) == [*MACHINE, "object store"]
    assert checks["object store"]["passed"] is None
    assert "run fedcart up" in checks["object store"]["detail"]
    assert done.exit_code == 0
    shown = CliRunner().invoke(app, ["doctor"], env={"FEDCART_HOME": str(tmp_path)}).stdout
    assert "not checked" in shown


def test_a_role_on_aws_has_its_store_checked_with_the_machines_credentials(stack, tmp_path):
    """Those come from the environment, as does the endpoint, which is AWS's where this is real."""
    own = load_role_settings(stack, "shop-a")
    done, checks = doctor(
        tmp_path,
        FEDCART_ROLE="shop-a",
        FEDCART_SIGNING_KEY=str(own.signing_key),
        AWS_ACCESS_KEY_ID=own.s3_access_key_id,
        AWS_SECRET_ACCESS_KEY=own.s3_secret_access_key.get_secret_value(),
        AWS_ENDPOINT_URL_S3=own.s3_endpoint,
    )
    assert done.exit_code == 0, done.output
    assert checks["the store takes shop-a"]["passed"]
    assert checks["a key is created once"]["passed"]
    assert "object store" not in checks


def test_a_role_on_aws_without_credentials_fails(tmp_path):
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    done, checks = doctor(tmp_path, FEDCART_ROLE="shop-a", HOME=str(tmp_path), **nowhere)
    assert done.exit_code == 1
    assert checks["the store takes shop-a"]["passed"] is False


@pytest.fixture
def broken(stack):
    """The settings file of shop-b, to be overwritten; it is restored."""
    path = role_settings(stack, "shop-b")
    before = path.read_bytes()
    yield path
    path.unlink(missing_ok=True)
    path.write_bytes(before)
    path.chmod(0o600)


@pytest.mark.parametrize("content", [b"not = = toml", b'role = "caf\xe9"', None])
def test_settings_that_cannot_be_read_are_one_finding_among_the_others(stack, broken, content):
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)
    done, checks = doctor(stack)
    assert done.exit_code == 1
    assert [name for name, check in checks.items() if check["passed"] is False] == ["settings of shop-b"]
    assert "settings-" in checks["settings of shop-b"]["detail"]
    assert {
        *MACHINE,
        "the store takes shop-a",
        "a key is created once",
        "shop-a is kept to its prefix",
    } <= set(checks)
    assert "signing key of shop-b" not in checks


def test_settings_of_the_process_that_are_wrong_leave_the_machines_checks(tmp_path):
    done, checks = doctor(tmp_path, FEDCART_TORCH_THREADS="many")
    assert done.exit_code == 1
    assert list(checks) == [*(name for name in MACHINE if "disk" not in name), "settings of this process"]
    assert "FEDCART_TORCH_THREADS is 'many'" in checks["settings of this process"]["detail"]


def test_a_store_that_does_not_start_is_one_finding_among_the_others(stack, monkeypatch):
    def gone(_home):
        raise StackError("The object store did not start", code="store-start")

    monkeypatch.setattr("infra.local.stack.borrowed_store", gone)
    done, checks = doctor(stack)
    assert done.exit_code == 1
    assert checks["object store"]["detail"] == "The object store did not start. (store-start)"
    assert checks["signing key of shop-a"]["passed"]
