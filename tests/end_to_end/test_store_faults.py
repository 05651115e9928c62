"""A store that refuses the credentials, or is gone: one sentence with a code, whatever the command."""

import json
import socket

import pytest


def nobody_listens() -> str:
    """An address on this machine at which nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def prepared(federation, name, **changes):
    recipe = federation.recipe(name, num_rounds=1, **changes)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    return str(recipe)


COMMANDS = {
    "runs list": ("runs", "list"),
    "runs follow": ("runs", "follow", "any-run"),
    "predict": ("predict", "any-run", "--text", "works great"),
    "train": ("train", "--recipe", "{recipe}", "--run", "any-run"),
}


def refused(federation, command, recipe, code, status):
    done = federation.call(*(word.format(recipe=recipe) for word in command), "--json")
    assert done.returncode == status, done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("error ") for line in done.stderr.splitlines()) == 1, done.stderr


@pytest.fixture(scope="module")
def recipe(federation):
    return prepared(federation, "unlucky")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_refused_credentials(federation, settings_of, recipe, command):
    settings_of("coordinator", s3_secret_access_key="not the secret")
    refused(federation, command, recipe, "store-credentials", 1)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_store_that_is_gone(federation, settings_of, recipe, command):
    settings_of("coordinator", s3_endpoint=nobody_listens())
    refused(federation, command, recipe, "store-unavailable", 75)


def test_doctor_says_whose_credentials_are_refused(federation, settings_of):
    settings_of("shop-a", s3_secret_access_key="not the secret")
    done = federation.call("doctor", "--json")
    checks = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert [name for name, each in checks.items() if not each["passed"]] == ["the store takes shop-a"]
    assert checks["the store takes shop-a"]["detail"].endswith("(store-credentials)")
    assert checks["shop-b is kept to its prefix"]["passed"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "store-credentials"), ("nobody", "store-unavailable")],
    ids=["no key", "no store"],
)
def test_doctor_of_one_role(federation, key, code):
    named = {"FEDCART_S3_ACCESS_KEY_ID": key, "FEDCART_S3_SECRET_ACCESS_KEY": "secret"} if key else {}
    done = federation.call("doctor", "--json", environment={"FEDCART_S3_ENDPOINT": nobody_listens(), **named})
    assert done.returncode == 1
    (access,) = [each for each in json.loads(done.stdout)["checks"] if "store" in each["check"]]
    assert not access["passed"]
    assert access["detail"].endswith(f"({code})")
    assert "Traceback" not in done.stderr


def test_a_party_that_the_store_refuses_is_named_with_its_code(federation, settings_of, recipe):
    settings_of("shop-b", s3_secret_access_key="not the secret")
    done = federation.call("train", "--recipe", recipe, "--run", "shut-out-1")
    said = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "(parties-missing)" in said
    assert "2 are required (shop-b: store-credentials, The object store refuses" in said
    assert "Traceback" not in said
