"""Bad input through the real command line: one sentence with a code and a status, and no stack trace."""

import json
import socket

import pytest
import yaml

from tests.end_to_end.federation import Federation, sentences, write_csv


def refused(federation: Federation, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Standard error of a command that must refuse in one plain sentence."""
    done = federation.call(*arguments, environment=environment)
    said = " ".join(done.stderr.split())
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in said
    assert "error" in said
    return said


def change(recipe, **changes) -> str:
    document = yaml.safe_load(recipe.read_text()) | changes
    recipe.write_text(yaml.safe_dump(document))
    return str(recipe)


def test_an_unknown_recipe(federation):
    said = refused(federation, "train", "--recipe", "reveiws")
    assert "There is no recipe 'reveiws'" in said
    assert "reviews" in said


def test_a_recipe_with_several_faults(federation):
    path = change(federation.recipe("faulty"), num_rounds="many", colour="red")
    said = refused(federation, "train", "--recipe", path)
    assert "2 faults" in said
    assert "num_rounds is 'many'" in said
    assert "colour is not a known key" in said


def test_a_misspelt_variable(federation):
    said = refused(federation, "runs", "list", environment={"FEDCART_BUKET": "x"})
    assert "FEDCART_BUKET" in said
    assert "settings-unknown" in said


def test_json_says_the_same(federation):
    done = federation.call("runs", "show", "no-such-run", "--json")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 2
    assert error["code"] == "run-unknown"
    assert "no-such-run" in error["message"]


def test_a_run_name_that_is_no_id(federation):
    assert "id-invalid" in refused(
        federation, "train", "--recipe", str(federation.recipe("x")), "--run", "A B"
    )


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("text", "label")], "table-empty"),
        ([("text", "wrong"), ("nice", "1")], "table-column-missing"),
        (
            [("text", "label"), *[(f"a {n}", "1") for n in range(30)]],
            "labels-single",
        ),
    ],
    ids=["no rows", "no column", "one label"],
)
def test_a_coordinators_table_that_will_not_do(federation, tmp_path, rows, code):
    table = tmp_path / "own.csv"
    table.write_text("".join(f"{text},{label}\n" for text, label in rows))
    recipe = federation.recipe("bad-own")
    document = yaml.safe_load(recipe.read_text())
    document["data"]["coordinator"] = {"table": str(table)}
    said = refused(federation, "data", "prepare", "--recipe", change(recipe, data=document["data"]))
    assert code in said


def test_a_parquet_file_that_was_cut_short(federation, tmp_path):
    whole = (federation.private / "shop-a.parquet").read_bytes()
    table = tmp_path / "cut.parquet"
    table.write_bytes(whole[: len(whole) // 2])
    recipe = federation.recipe("cut")
    document = yaml.safe_load(recipe.read_text())
    document["data"]["coordinator"] = {"table": str(table)}
    said = refused(federation, "data", "prepare", "--recipe", change(recipe, data=document["data"]))
    assert "table is damaged or cut short; write it again" in said
    assert "(table-damaged)" in said


def test_no_stack(federation, tmp_path):
    said = refused(
        federation,
        *("train", "--recipe", str(federation.recipe("nowhere"))),
        environment={"FEDCART_HOME": str(tmp_path)},
    )
    assert "fedcart up" in said


def test_a_taken_port(federation, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(
            federation,
            *("up", "--recipe", str(federation.recipe("ports")), "--server-port", str(port)),
            environment={"FEDCART_HOME": str(tmp_path / "other")},
        )
    assert str(port) in said


def test_too_few_parties_stop_the_run_and_it_goes_on_when_they_are_there(federation):
    """One of two parties brings an empty table, and two are required."""
    empty = write_csv(federation.private / "empty.csv", [])
    recipe = federation.recipe("too-few", max_failed_rounds=0)
    document = yaml.safe_load(recipe.read_text())
    document["data"]["parties"]["shop-b"] = {"train": str(empty)}
    path = change(recipe, data=document["data"])
    assert federation.call("data", "prepare", "--recipe", path).returncode == 0
    said = refused(federation, "train", "--recipe", path, "--run", "too-few-1")
    assert "(parties-missing)" in said
    assert "shop-b: table-empty" in said
    assert "fedcart train --resume too-few-1" in said
    assert "empty.csv" not in said
    assert federation.document("runs", "show", "too-few-1")["status"] == "open"
    write_csv(empty, sentences("shop-b", 90))
    resumed = federation.document("train", "--resume", "too-few-1")
    assert resumed["status"] == "finished"
    outcomes = [row["outcome"] for row in resumed["rounds"]]
    assert outcomes == ["passed", "passed"], "a round began that could have no quorum"
