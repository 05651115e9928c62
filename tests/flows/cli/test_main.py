"""What the command line says of what goes wrong: one sentence, a code and a status, never a stack trace."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmodels.errors import InputError
from flows.cli.main import app
from flows.cli.output import refusal_of
from tests.flows.cli.in_process import call_main

REPOSITORY = Path(__file__).resolve().parents[3]
MAIN = [sys.executable, "-c", "from flows.cli.main import main; main()"]


def fedcart(*words, home):
    """The whole command line in a process of its own, which alone knows what ends one."""
    environment = {**os.environ, "FEDCART_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run([*MAIN, *words], capture_output=True, text=True, cwd=REPOSITORY, env=environment)


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path):
    taken = tmp_path / "taken"
    taken.touch()
    refused = fedcart("data", "prepare", "--recipe", "smoke", "--json", home=taken / "home")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == "path-unusable"
    assert refused.stderr.startswith(f"error {taken}")
    assert "not a directory" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["status"], ["down"], ["runs", "list"], ["release", "list"], ["doctor"]])
@pytest.mark.parametrize("home", ["taken", "taken/home"])
def test_a_home_that_is_a_file_is_not_a_stack_that_is_down(capsys, monkeypatch, tmp_path, words, home):
    (tmp_path / "taken").touch()
    refused = call_main(monkeypatch, capsys, words, FEDCART_HOME=str(tmp_path / home))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"error {tmp_path / home}")
    assert "cannot be used: not a directory; correct its path or rights." in refused.stderr


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left"), "disk-full", "The disk is full; free some space and"),
        (
            PermissionError(13, "Permission denied", "/a/b"),
            "path-unusable",
            "/a/b cannot be used: perm",
        ),
        (ConnectionError("no words of the system's"), "system-refused", "needs: connectionerror."),
    ],
)
def test_what_the_system_refuses_has_a_code(error, code, sentence):
    refusal = refusal_of(error)
    assert (refusal.code, sentence in str(refusal)) == (code, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("train", "--model-out", "FILE"), "folder-taken"),
        (("train", "--model-out", "FILE/model"), "target-unusable"),
        (("train", "--model-out", "FULL"), "folder-taken"),
        (("train", "--out", "FULL"), "target-unusable"),
        (("evaluate", "run-1", "--out", "FILE/a.json"), "target-unusable"),
        (("predict", "run-1", "--text", "good", "--out", "FULL"), "target-unusable"),
        (("predict", "run-1", "--text", "good", "--out", "FULL/new/a.csv"), "target-unusable"),
    ],
)
def test_where_nothing_can_be_written_is_refused_before_anything_else(tmp_path, words, code):
    file, full = tmp_path / "file", tmp_path / "full"
    full.mkdir()
    for path in (file, full / "thesis.txt"):
        path.write_text("precious")
    called = [word.replace("FILE", str(file)).replace("FULL", str(full)) for word in words]
    refused = CliRunner().invoke(app, called, env={"FEDCART_HOME": str(tmp_path / "home")})
    assert isinstance(refused.exception, InputError)
    assert refused.exception.code == code
    assert str(tmp_path) in str(refused.exception)
    assert not (tmp_path / "home").exists()
    assert (full / "thesis.txt").read_text() == file.read_text() == "precious"


def broken(*_words):
    raise KeyError("jane@example.org")


def test_an_exception_that_nobody_foresaw_is_a_sentence_and_its_trace_a_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("infra.settings.load_settings", broken)  # the first thing that every command needs
    for times in (1, 2):
        failed = call_main(monkeypatch, capsys, ["status", "--json"], FEDCART_HOME=str(tmp_path))
        document, log = json.loads(failed.stdout)["error"], tmp_path / "logs" / "internal-errors.log"
        assert (failed.returncode, document["code"]) == (70, "internal")
        said = (
            f"fedcart met a fault of its own, KeyError in broken; please report it with the trace in {log}."
        )
        assert document["message"] == said
        assert failed.stderr == f"error {said} (internal)\n"
        assert log.read_text().count("Traceback (most recent call last)") == times
    assert "KeyError: 'jane@example.org'" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_trace_lies_in_a_temporary_folder_where_there_is_no_home(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("infra.local.status.status", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failed = call_main(monkeypatch, capsys, ["status"], FEDCART_HOME=str(tmp_path / "none"))
    (log,) = tmp_path.glob("fedcart-*/internal-errors.log")
    assert f"the trace in {log}." in failed.stderr
    assert not (tmp_path / "none").exists()


def test_a_trace_that_cannot_be_written_is_shown(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("infra.local.status.status", broken)
    (tmp_path / "logs").touch()
    failed = call_main(monkeypatch, capsys, ["status", "--json"], FEDCART_HOME=str(tmp_path))
    assert failed.returncode == 70
    assert json.loads(failed.stdout)["error"]["message"].endswith("please report it with the trace above.")
    assert failed.stderr.startswith("Traceback (most recent call last)")


NUMBER = "must be a whole number"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json"], "fedcart has no option '--json'; see fedcart --help."),
        (["runs", "lst"], "runs has no command 'lst', perhaps list is meant; see fedcart runs --help."),
        (["demo", "--rounds", "3"], "fedcart demo has no option '--rounds'; see fedcart demo --help."),
        (["demo", "--recip"], "has no option '--recip', perhaps --recipe is meant; see fedcart demo --help."),
        (["up", "-x"], "fedcart up has no option '-x'; see fedcart up --help."),
        (["demo", "-r"], "The option -r of fedcart demo needs a value, RECIPE; see fedcart demo --help."),
        (["up", "--json=3"], "The option --json of fedcart up takes no value; see fedcart up --help."),
        (["up", "--server-port", "abc"], f"--server-port is 'abc', but {NUMBER}; see fedcart up --help."),
        (["release", "rollback", "reviews", "--to", "0"], f"--to is '0', but {NUMBER} of at least 1; see"),
        (["release", "show", "reviews", "x"], f"RELEASE is 'x', but {NUMBER} of at least 1; see fedcart rel"),
        (["runs", "show"], "fedcart runs show needs RUN; see fedcart runs show --help."),
        (["data", "check"], "fedcart data check needs --party; see fedcart data check --help."),
        (["runs", "show", "a", "b"], "extra argument(s) (b); see fedcart runs show --help."),
        (["predict", "run-1"], "Neither --text nor --file is given; give one of them; see fedcart predict"),
        (["runs", "--"], "Missing command; see fedcart runs --help."),
    ],
    ids=" ".join,
)
def test_wrong_usage_says_what_may_stand_there_and_where_to_read_it(capsys, monkeypatch, words, said):
    wrong = call_main(monkeypatch, capsys, words)
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert wrong.stderr.startswith("error ")
    assert said in wrong.stderr
    assert wrong.stderr.endswith("(usage)\n")


def test_an_unknown_command_is_told_which_there_are(capsys, monkeypatch):
    wrong = call_main(monkeypatch, capsys, ["frobnicate"])
    assert wrong.stderr.startswith("error fedcart has no command 'frobnicate'; it has demo, up, down, ")
    assert wrong.stderr.endswith(", release; see fedcart --help. (usage)\n")


def test_what_was_typed_is_repeated_as_it_is(capsys, monkeypatch):
    wrong = call_main(monkeypatch, capsys, ["[red]:smile:\x1b"])
    assert "fedcart has no command '[red]:smile:\\x1b'; it has" in wrong.stderr


@pytest.mark.parametrize("words", [["runs", "show", "--colour"], ["dance"], ["up", "--s3-port", "x"]])
def test_wrong_usage_is_a_document_for_programs(capsys, monkeypatch, words):
    wrong = call_main(monkeypatch, capsys, [*words, "--json"])
    document = json.loads(wrong.stdout)["error"]
    assert (wrong.returncode, document["code"]) == (2, "usage")
    assert wrong.stderr == f"error {document['message']} (usage)\n"


@pytest.mark.parametrize("words", [[], ["runs"]])
def test_a_group_without_a_command_shows_its_help(capsys, monkeypatch, words):
    shown = call_main(monkeypatch, capsys, words)
    assert shown.returncode == 2
    assert "Commands" in shown.stdout + shown.stderr
    assert "(usage)" not in shown.stderr


def test_wrong_usage_prints_nothing_for_programs_that_did_not_ask(tmp_path):
    wrong = fedcart("runs", "show", home=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")


@pytest.mark.parametrize("words", [["runs", "show"], ["release", "rollback"], ["predict"], ["up"], []])
def test_help_names_arguments_and_types_as_a_manual_page_does(words):
    shown = CliRunner().invoke(app, [*words, "-h"], env={"COLUMNS": "200"}).stdout
    assert f"Usage: {' '.join(['fedcart', *words])} [OPTIONS]" in shown
    assert not any(noise in shown for noise in ("{", "<bool>", "<str>", "<int>"))
    assert "RUN" in shown or "RECIPE" in shown or not words
