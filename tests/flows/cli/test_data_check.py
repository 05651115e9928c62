"""`fedcart data check`: verdicts and counts at the party, and never a value."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from flows.data_check import check_party
from flows.recipes import load_recipe
from infra.settings import load_settings
from tests.flows.cli.in_process import call_main

REPOSITORY = Path(__file__).resolve().parents[3]
SECRET = "jane.doe@example.org"
RECIPE = """\
name: mine
data:
  labels: ["0", "1"]
  parties:
    shop-a: {train: shop-a.csv}
    shop-b: {train: shop-b.csv}
  coordinator: {table: own.csv}
"""
EXPECTATIONS = """\
expectations:
  - {type: expect_column_values_to_be_in_set, kwargs: {column: label, value_set: [0]}, severity: warning}
"""


@pytest.fixture
def place(tmp_path):
    """A recipe, two parties' tables and their settings, without a stack."""
    (tmp_path / "mine.yaml").write_text(RECIPE)
    for party in ("shop-a", "shop-b"):
        rows = "".join(f"text {number} for {SECRET},{number % 2}\n" for number in range(60))
        (tmp_path / f"{party}.csv").write_text(f"text,label\n{rows}")
        folder = tmp_path / "home" / "parties" / party
        folder.mkdir(parents=True)
        (folder / "fedcart.toml").write_text(f'[tables.mine]\ntrain = "{tmp_path / party}.csv"\n')
    return tmp_path


@pytest.fixture
def check(place, monkeypatch, capsys):
    def run(*words, party="shop-a", **environment):
        called = ["data", "check", "--party", party, "--recipe", str(place / "mine.yaml"), *words]
        home = {"FEDCART_HOME": str(place / "home")}
        return call_main(monkeypatch, capsys, called, **{**home, **environment})

    return run


@pytest.fixture
def check_alone(place):
    """The same in a process of its own, with all that any library prints."""

    def run(*words, **environment):
        called = [sys.executable, "-m", "flows.cli", "data", "check", "--party", "shop-a"]
        return subprocess.run(
            [*called, "--recipe", str(place / "mine.yaml"), *words],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "FEDCART_HOME": str(place / "home"),
                **environment,
            },
        )

    return run


def expect(place, text):
    (place / "expectations.yaml").write_text(text)
    settings = place / "home" / "parties" / "shop-a" / "fedcart.toml"
    settings.write_text(settings.read_text() + f'expectations = "{place / "expectations.yaml"}"\n')


def test_data_that_keep_their_contract_and_are_not_looked_at_twice(check, place):
    first = check("--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert (document["party"], document["passed"], document["unchanged"]) == ("shop-a", True, False)
    assert document["rows"]["train"] + document["rows"]["holdout"] == 60
    assert document["failed"] == []
    assert {row["verdict"] for row in document["expectations"]} == {"passed"}
    page = Path(document["page"])
    assert page.is_relative_to(place / "home" / "parties" / "shop-a" / "contract" / "mine")
    assert page.parent.stat().st_mode & 0o077 == 0
    assert json.loads(check("--json").stdout) == {**document, "unchanged": True}
    shown = check()
    assert "Neither data nor expectations have changed" in shown.stdout
    assert str(page) in shown.stdout
    assert not (place / "home" / "parties" / "shop-b" / "contract").exists()


def test_a_critical_failure_exits_with_1_and_tells_no_value(check_alone, place):
    (place / "shop-a.csv").write_text(
        "text,label\n" + "".join(f"text {n} for {SECRET},{SECRET}\n" for n in range(60))
    )
    for words in ((), ("--json",)):
        done = check_alone(*words)
        assert done.returncode == 1
        assert SECRET not in done.stdout + done.stderr
        assert "expect_column_values_to_be_in_set" in done.stdout
    assert json.loads(done.stdout)["passed"] is False
    assert SECRET in (Path(json.loads(done.stdout)["page"]).parent / "train.html").read_text()


def test_what_may_leave_the_party_is_written_and_has_neither_value_nor_path(check, check_alone, place):
    expect(place, EXPECTATIONS)
    out = place / "verdict.json"
    shown = json.loads(check("--out", str(out), "--json").stdout)
    first = out.read_bytes()
    told = json.loads(first)
    assert told == {key: value for key, value in shown.items() if key not in ("unchanged", "page")}
    assert (told["passed"], told["broken"]) == (True, {"critical": 0, "warnings": 1})
    check("--out", str(out))
    assert out.read_bytes() == first, "the same data give the same bytes, by which DVC tells a change"
    rows = "".join(f"text {number} for {SECRET},{SECRET}\n" for number in range(60))
    (place / "shop-a.csv").write_text(f"text,label\n{rows}")
    assert check_alone("--out", str(out)).returncode == 1
    broken = out.read_text()
    assert json.loads(broken)["passed"] is False
    assert json.loads(broken)["broken"]["critical"] > 0
    assert SECRET not in broken
    assert str(place) not in broken


def test_a_partys_own_warning_is_shown_and_refuses_nothing(check, place):
    expect(place, EXPECTATIONS)
    done = check("--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["failed"] == ["warning:expect_column_values_to_be_in_set:own"]
    own = document["expectations"][-1]
    assert (own["part"], own["column"], own["rows"], own["unexpected"]) == ("own", "", 60, 30)


def test_eighty_columns_hold_a_line_for_nearly_every_expectation(check_alone, place):
    expect(place, EXPECTATIONS)
    shown = check_alone(COLUMNS="80").stdout.splitlines()
    page = next(line for line in shown if line.startswith("Which values it was: "))
    assert max(len(line) for line in shown if line != page) <= 80
    table = shown[: shown.index("failed: warning:expect_column_values_to_be_in_set:own")]
    assert len(table) <= 24 + 5 + 9, "expectations, a title, a head and two blank lines; nine lines folded"
    first = next(line for line in table if line.startswith(" own"))
    assert first.split() == ["own", "–", "values", "in", "set", "warning", "failed", "30", "of", "60"]
    (names,) = (line for line in table if "conflicting_labels" in line)
    assert names.split() == [
        *("facts", "conflicting_labels", "values", "between", "warning", "passed", "0", "of", "1")
    ]


def test_an_unknown_expectation_is_one_sentence(check_alone, place):
    expect(place, "expectations: [{type: expect_nothing}]")
    refused_in_one_sentence(check_alone("--json"), "expectation-unknown")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{type: expect_column_values_to_be_unique, kwargs: {column: nope}}", "expectation-column-missing"),
        ("{type: expect_column_values_to_be_unique, kwargs: {colum: text}}", "expectation-arguments"),
    ],
)
def test_wrong_expectations_are_one_sentence(check, place, entry, code):
    expect(place, f"expectations: [{entry}]")
    refused_in_one_sentence(check("--json"), code)


def refused_in_one_sentence(done, code):
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == code
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_party_on_its_own_machine(check, place):
    """Its settings are those of the process, and there is no other role's file."""
    settings = place / "own.toml"
    settings.write_text(f'role = "shop-b"\n[tables.mine]\ntrain = "{place / "shop-b.csv"}"\n')
    done = check(
        "--json", party="shop-b", FEDCART_CONFIG=str(settings), FEDCART_HOME=str(place / "elsewhere")
    )
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["page"]).is_relative_to(place / "elsewhere" / "parties" / "shop-b")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "table-missing"),
        (b"text,wrong\nfine,1\n", "table-column-missing"),
        (b"text,label\ncaf\xe9,1\n", "table-encoding"),
    ],
)
def test_a_table_that_cannot_be_read_refuses_the_check(check, place, content, code):
    """In a run it only costs the party its round; a check by hand that was not made exits with 2."""
    table = place / "shop-a.csv"
    table.unlink() if content is None else table.write_bytes(content)
    done = check("--json")
    refused_in_one_sentence(done, code)
    told = json.loads(done.stdout)["error"]["message"]
    settings = place / "home" / "parties" / "shop-a" / "fedcart.toml"
    assert told.endswith(f" (train is {table}: [tables.mine] of {settings}).")


def test_where_the_tables_are_is_told_by_the_command_alone(place):
    """The sentence itself travels: in a run, and to whoever calls the flow's functions."""
    (place / "shop-a.csv").unlink()
    with pytest.raises(InputError) as caught:
        check_party(load_recipe(str(place / "mine.yaml")), "shop-a", load_settings(home=place / "home"))
    assert caught.value.code == "table-missing"
    assert str(place) not in str(caught.value)


def test_a_party_on_its_own_machine_is_told_its_own_file(check, place):
    settings = place / "own.toml"
    settings.write_text(f'role = "shop-b"\n[tables.mine]\ntrain = "{place}/gone.csv"\nholdout = "h.csv"\n')
    done = check("--json", party="shop-b", FEDCART_CONFIG=str(settings))
    told = json.loads(done.stdout)["error"]["message"]
    assert told.endswith(f" (train is {place}/gone.csv, holdout is h.csv: [tables.mine] of {settings}).")
    settings.write_text('role = "shop-b"\n')
    told = json.loads(check("--json", party="shop-b", FEDCART_CONFIG=str(settings)).stdout)["error"][
        "message"
    ]
    assert told.endswith(f" (no table is named: [tables.mine] of {settings}).")


@pytest.mark.parametrize(
    ("party", "code"),
    [("shop-z", "party-unknown"), ("shop-b", "table-missing"), ("shop-a", "labels-unknown")],
)
def test_what_cannot_be_checked(check, place, party, code):
    if code == "table-missing":
        (place / "home" / "parties" / "shop-b" / "fedcart.toml").write_text("")
    if code == "labels-unknown":
        (place / "mine.yaml").write_text(RECIPE.replace('  labels: ["0", "1"]\n', ""))
    done = check("--json", party=party)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == code
