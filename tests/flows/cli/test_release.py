"""`fedcart release` on a store that each command starts for itself."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import gto.api
import pygit2
import pytest
from typer.testing import CliRunner

from fedmodels.errors import FedcartError, InputError, IntegrityError, RunConflict, RunError, StackError
from fedmodels.protocol.releases import Unreleasable
from fedmodels.protocol.withdrawal import WithdrawalNotice
from flows import answering
from flows.cli.main import app
from flows.proposing import in_words
from infra.keys import load_model_key
from infra.layout import plan_key, release_key, unreleasable_key, withdrawal_key
from infra.locations import coordinator_folder, role_settings
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tasks.release.reading import read_champion, read_release, read_report
from tasks.release.requesting import open_release
from tasks.release.signing import document_release, sign_release
from tasks.release.taking import take_up
from tests.store_alone import store_alone, store_of
from tests.tasks.release.folders import small_folders
from tests.tasks.release.released_models import opened, proposed, released, reported
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

NAMES = itertools.count(1)
SEEDS = itertools.count(500)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module")
def store(home):
    return store_of(home, "coordinator")


@pytest.fixture
def recipe() -> str:
    return f"recipe-{next(NAMES)}"


@pytest.fixture(autouse=True)
def made_up_runs_are_undocumented(monkeypatch):
    """They have left nothing of which a lineage record could be made."""

    def document(store, key, model_key, work, found):
        if not store.exists(plan_key(found.report.run)):
            return None
        return document_release(store, key, model_key, work, found)

    monkeypatch.setattr("tasks.release.signing.document_release", document)


@pytest.fixture
def fedcart(home):
    def call(*words: object):
        told = [str(word) for word in words]
        return CliRunner().invoke(app, ["release", *told], env={"FEDCART_HOME": str(home)})

    return call


def said(done) -> str:
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(done, kind: type[FedcartError]) -> str:
    assert isinstance(done.exception, kind), done.output
    return done.exception.code


def test_list_and_show_say_where_each_release_stands(fedcart, store, recipe):
    assert said(fedcart("list", recipe)) == f"There is no release of {recipe}.\n"
    released(store, recipe, "first")
    proposed(store, recipe, "second", verdict="failed")
    opened(store, recipe, "third")
    table = said(fedcart("list", recipe))
    assert [line.split()[1:3] for line in table.splitlines()[4:7]] == [
        ["1", "first"],
        ["2", "second"],
        ["3", "third"],
    ]
    for word in ("champion", "checks failed", "no report yet", "size"):
        assert word in table
    assert [row["standing"] for row in json.loads(said(fedcart("list", recipe, "--json")))] == [
        "champion",
        "checks failed",
        "no report yet",
    ]
    shown = said(fedcart("show", recipe, 2))
    assert "The size is 1." in shown
    assert f"Release 2 of {recipe}, model" in shown
    assert "of run second: checks failed." in shown
    document = json.loads(said(fedcart("show", recipe, 2, "--json")))
    assert (document["passed"], document["standing"]) == (False, "checks failed")
    assert document["report"]["checks"][0]["verdict"] == "failed"
    assert json.loads(said(fedcart("show", recipe, 3, "--json")))["passed"] is None
    assert recipe in said(fedcart("list"))


@pytest.mark.parametrize(
    ("state", "message", "code", "told"),
    [
        ("Completed", "The champion of r is release 1.", None, "The champion of r is release 1.\n"),
        ("Suspended", "Release 1 of r waits for a person.", None, "Release 1 of r waits for a person.\n"),
        (
            "Refused",
            "Release 1 of r failed a check: size. It is 1: refused.",
            "release-refused",
            "Release 1 of r failed a check: size. It is 1: refused; see fedcart release show r 1.",
        ),
        (
            "Failed",
            "release-outdated: Another is the champion; propose it anew.",
            "release-outdated",
            "Another is the champion; propose it anew.",
        ),
        (
            "Crashed",
            "",
            "release-failed",
            "The release of run first ended as Crashed; see its flow run release · first in the Prefect UI.",
        ),
    ],
)
def test_propose_says_what_became_of_the_release(fedcart, monkeypatch, state, message, code, told):
    said_by_flow = {"run": "first", "state": state, "recipe": "r", "release": 1, "message": message}
    monkeypatch.setattr("flows.proposing.propose_release", lambda *_arguments: said_by_flow)
    done, document = fedcart("propose", "first"), fedcart("propose", "first", "--json")
    assert json.loads(document.stdout)["message"] == message
    assert document.exit_code == (1 if code else 0)
    if code is None:
        assert said(done) == told
    else:
        assert refused(done, RunError) == code
        assert (str(done.exception), done.stdout) == (told, "")


def test_what_a_release_that_passed_comes_to_is_said_with_its_next_step(store, recipe):
    proposed(store, recipe, "first", approval="person")
    now = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
    view = read_release(store, recipe, 1)
    deadline = timedelta(seconds=view.found.report.approval_deadline - view.found.waited)
    assert in_words(view, "Suspended", now) == (
        f"Release 1 of {recipe} waits for a person until {now + deadline:%Y-%m-%d %H:%M} UTC: "
        f"fedcart release approve {recipe} 1."
    )
    model = view.request.model_sha256[:12]
    assert in_words(view, "Completed", now) == (
        f"The champion of {recipe} is release 1: model {model} of run first."
    )


def test_promote_and_rollback_are_one_command_each(fedcart, store, recipe):
    released(store, recipe, "first")
    proposed(store, recipe, "second")
    told = said(fedcart("promote", recipe, 2, "--by", "ann"))
    assert told.startswith(f"The champion of {recipe} is release 2: model ")
    back = json.loads(said(fedcart("rollback", recipe, "--reason", "too slow", "--by", "ben", "--json")))
    assert (back["release"], back["action"], back["reason"], back["by"]) == (1, "rollback", "too slow", "ben")
    assert read_champion(store, recipe).release == 1
    assert refused(fedcart("rollback", recipe), RunConflict) == "rollback-nothing"
    assert refused(fedcart("promote", recipe, 2), RunConflict) == "release-left"
    assert json.loads(said(fedcart("rollback", recipe, "--to", 2, "--json")))["release"] == 2


def test_approve_promotes_and_reject_does_not(fedcart, store, recipe):
    proposed(store, recipe, "first", approval="person")
    proposed(store, recipe, "second", approval="person")
    told = json.loads(
        said(fedcart("reject", recipe, 1, "--by", "ann", "--comment", "[no] evidence", "--json"))
    )
    assert (told["decision"], told["comment"]) == ("reject", "[no] evidence")
    shown = said(fedcart("show", recipe, 1))
    assert "ann: reject, " in shown
    assert ' s after the report: "[no] evidence".' in shown
    assert refused(fedcart("promote", recipe, 1), RunConflict) == "release-rejected"
    assert "is release 2" in said(fedcart("approve", recipe, 2))
    assert refused(fedcart("approve", recipe, 2), RunConflict) == "approval-twice"
    assert read_champion(store, recipe).release == 2


@pytest.fixture
def prefect(monkeypatch):
    """A server that the home's stack names, and what was passed on to it."""
    played = SimpleNamespace(answers=True, passed_on=[], error=None)

    def resume(ticket, key, form, *, api_url):
        if played.error:
            raise played.error
        played.passed_on.append((ticket, key, form["decision"], form["by"], form["comment"], api_url))
        return True

    monkeypatch.setattr(answering, "read_stack", lambda _home: SimpleNamespace(api_url="http://here/api"))
    monkeypatch.setattr(answering, "server_answers", lambda _url: played.answers)
    monkeypatch.setattr(answering, "resume_answered", resume)
    return played


def test_a_word_of_the_command_line_lets_the_flow_run_that_waits_for_it_go_on(
    fedcart, store, recipe, prefect
):
    for name in ("first", "second", "third"):
        proposed(store, recipe, name, approval="person")
    said(fedcart("reject", recipe, 1, "--by", "ann", "--comment", "no"))
    assert prefect.passed_on.pop() == ("first", "approval-1", "reject", "ann", "no", "http://here/api")
    said(fedcart("approve", recipe, 2, "--by", "ben"))
    assert prefect.passed_on.pop() == ("second", "approval-2", "approve", "ben", "", "http://here/api")
    assert refused(fedcart("approve", recipe, 3, "--by", "ben"), RunConflict) == "release-outdated"
    assert prefect.passed_on.pop()[:3] == ("third", "approval-3", "approve"), "its flow run says the same"
    assert refused(fedcart("approve", recipe, 2), RunConflict) == "approval-twice"
    assert prefect.passed_on == []


def test_the_word_wakes_the_flow_run_that_took_the_release_up(fedcart, store, recipe, prefect):
    proposed(store, recipe, "first", approval="person")
    assert take_up(store, read_release(store, recipe, 1).request, "the taker", going=lambda _ticket: False)
    said(fedcart("reject", recipe, 1, "--by", "ann"))
    assert prefect.passed_on.pop()[0] == "the taker"


def test_what_can_never_be_checked_says_why(fedcart, store, recipe):
    opened(store, recipe, "first")
    refusal = Unreleasable(recipe=recipe, run="first", code="labels-differ", sentence="It has 3 labels.")
    create_message(store, unreleasable_key(recipe, "first"), refusal)
    shown = said(fedcart("show", recipe, 1))
    assert "cannot be checked" in shown and "labels-differ: It has 3 labels." in shown


def test_a_release_that_nobody_was_asked_about_passes_nothing_on(fedcart, store, recipe, prefect):
    proposed(store, recipe, "first")
    said(fedcart("promote", recipe, 1))
    assert prefect.passed_on == []


@pytest.mark.parametrize("fault", ["silent", "refuses"])
def test_a_word_stands_though_prefect_cannot_be_told(fedcart, store, recipe, prefect, fault):
    proposed(store, recipe, "first", approval="person")
    prefect.answers = fault != "silent"
    prefect.error = StackError("The Prefect server refuses the flow run first", fix="see its log")
    done = fedcart("approve", recipe, 1, "--by", "ann", "--json")
    assert json.loads(said(done))["release"] == 1
    assert "waits until its deadline, and the bucket says what happened" in done.stderr
    assert read_champion(store, recipe).release == 1


def test_who_has_no_name_here_has_to_give_one(fedcart, store, recipe, monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    proposed(store, recipe, "first")
    assert refused(fedcart("promote", recipe, 1), InputError) == "name-missing"
    assert "is release 1" in said(fedcart("promote", recipe, 1, "--by", "ann"))


def test_refusals_name_the_thing_and_the_next_step(fedcart, store, recipe):
    reported(store, opened(store, recipe, "first"))
    assert refused(fedcart("show", recipe, 9), InputError) == "release-unknown"
    assert refused(fedcart("promote", recipe, 9), InputError) == "release-unknown"
    assert refused(fedcart("promote", "Not An Id", 1), InputError) == "id-invalid"
    assert refused(fedcart("approve", recipe, 1), RunConflict) == "approval-not-asked"
    assert refused(fedcart("promote", recipe, 0), InputError) == "usage"


@pytest.fixture
def recordable(monkeypatch):
    """The runs of these tests have no architecture."""
    small_folders(monkeypatch)


def test_a_release_that_is_promoted_says_where_it_comes_from(
    fedcart, home, store, recipe, recordable, tmp_path, monkeypatch
):
    run = finished(home, store, recipe, "run")
    sha256 = run.head.best_model_sha256
    assert json.loads(said(fedcart("show", recipe, 1, "--json")))["lineage"] is None
    assert refused(fedcart("card", recipe, 1), RunConflict) == "lineage-missing"
    said(fedcart("promote", recipe, 1, "--by", "ann"))
    told = said(fedcart("show", recipe, 1))
    assert "What it learned from" in told and "in 1 round by a commit that is not known" in told
    assert "Its files are signed, by the signature " in told
    lineage = json.loads(said(fedcart("show", recipe, 1, "--json")))["lineage"]
    assert (lineage["run"], lineage["model_sha256"]) == (run.run, sha256)
    card = tmp_path / "README.md"
    assert said(fedcart("card", recipe, 1, "--out", card)) == (
        f"The model card of release 1 of {recipe} is {card}.\n"
    )
    assert card.read_text() == said(fedcart("card", recipe, 1))
    document = {"recipe": recipe, "release": 1, "card": card.read_text(), "file": None}
    assert json.loads(said(fedcart("card", recipe, 1, "--json"))) == document
    again = tmp_path / "again.md"
    told = json.loads(said(fedcart("card", recipe, 1, "--json", "--out", again)))
    assert told == {**document, "file": str(again)} and again.read_text() == card.read_text()
    assert card.read_text().startswith("---\n") and f"| run | {run.run}, round 1 |" in card.read_text()
    monkeypatch.setenv("FEDCART_CONFIG", str(role_settings(home, "shop-a")))
    assert "Its signature was not checked" in said(fedcart("show", recipe, 1)), "as a party sees it"


def finished(home, store, recipe, name, *, signed=True, approval="none") -> FinishedRun:
    """A run whose model asks to be released."""
    run = FinishedRun(home, f"{name}-of-{recipe}", seed=next(SEEDS))
    run.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
    run.close()
    sha256 = run.head.best_model_sha256
    request = open_release(store, recipe, name, run=run.run, round_number=1, model_sha256=sha256)
    reported(store, request, approval=approval)
    if signed:
        sign(home, store, recipe, request.release)
    return run


def sign(home, store, recipe, release) -> None:
    """As the flow does when the checks have passed."""
    settings = load_role_settings(home, "coordinator")
    key = load_model_key(settings.model_signing_key)
    sign_release(store, key, read_report(store, recipe, release), settings.workspace)


def test_promotions_and_rollbacks_move_the_tags_that_the_list_shows(fedcart, home, store, recipe, recordable):
    for number, name in enumerate(("first", "second"), start=1):
        finished(home, store, recipe, name)
        assert [row["tag"] for row in json.loads(said(fedcart("list", recipe, "--json")))][-1] is None
        said(fedcart("promote", recipe, number, "--by", "ann"))
    said(fedcart("rollback", recipe, "--by", "ann"))
    tags = [row["tag"] for row in json.loads(said(fedcart("list", recipe, "--json")))]
    assert tags == [f"{recipe}@v1.0.0", f"{recipe}@v2.0.0"]
    assert f"{recipe}@v2.0.0" in said(fedcart("list", recipe))
    (champion,) = gto.api.show(str(coordinator_folder(home) / "models-repository"), f"{recipe}#champion")
    assert champion["version"] == "v1.0.0"


def test_what_was_withdrawn_is_heard_before_the_champion_moves(fedcart, home, store, recipe, recordable):
    """The notice lies in the bucket, and no watch is deployed."""
    runs = [finished(home, store, recipe, name) for name in ("first", "second")]
    withdraw(runs[1], recipe, number=1)
    assert refused(fedcart("promote", recipe, 2, "--by", "ann"), RunConflict) == "release-withdrawn"
    said(fedcart("promote", recipe, 1, "--by", "ann"))
    withdraw(runs[0], recipe, number=2)
    again = fedcart("promote", recipe, 1, "--by", "ann")
    assert "learned, from round 1 of" in again.output, "it stays the champion, and that is told"
    finished(home, store, recipe, "third")
    said(fedcart("promote", recipe, 3, "--by", "ann"))
    assert refused(fedcart("rollback", recipe, "--by", "ann"), RunConflict) == "release-withdrawn"
    assert read_champion(store, recipe).release == 3


def test_what_is_refused_or_not_heard_on_the_way_is_a_warning(
    fedcart, home, store, recipe, recordable, monkeypatch
):
    finished(home, store, recipe, "first")
    run = finished(home, store, recipe, "second")
    run.stores["shop-a"].put_blob(withdrawal_key("shop-a", recipe, 1), b"{")
    done = fedcart("promote", recipe, 1, "--by", "ann")
    said(done)
    told = " ".join(done.stderr.split())
    assert "A notice of withdrawal below the prefix of shop-a is none of this version" in told
    run.stores["shop-a"].delete(withdrawal_key("shop-a", recipe, 1))
    assert "A notice" not in fedcart("promote", recipe, 2, "--by", "ann").stderr
    withdraw(run, recipe, number=1)
    monkeypatch.setattr("flows.cli.champion.coordinator_public_key", lambda _settings: None)
    done = fedcart("rollback", recipe, "--by", "ann")
    assert "is not looked at: that takes its settings" in " ".join(done.stderr.split())


def test_a_word_for_what_was_withdrawn_is_not_taken_so_that_it_can_still_be_rejected(
    fedcart, home, store, recipe
):
    withdraw(finished(home, store, recipe, "first", signed=False, approval="person"), recipe, number=1)
    assert refused(fedcart("approve", recipe, 1, "--by", "ann"), RunConflict) == "release-withdrawn"
    said(fedcart("reject", recipe, 1, "--by", "ann"))


def withdraw(run, recipe, number) -> None:
    """As `shop-a` would tell of rows that a run learned from."""
    facts = {"party": "shop-a", "recipe": recipe, "number": number, "leaves": False, "withdrawal": "a" * 64}
    notice = WithdrawalNotice(**facts, receipts=({"run": run.run, "round": 1},))
    create_signed(run.stores["shop-a"], withdrawal_key("shop-a", recipe, number), notice, run.keys["shop-a"])


def test_what_cannot_be_recorded_is_a_warning_and_a_sync_catches_up(
    fedcart, home, store, recipe, recordable, tmp_path, monkeypatch
):
    finished(home, store, recipe, "first")
    repository = tmp_path / "repository"
    update_role_settings(home, "coordinator", {"models_repository": str(repository)})
    try:
        promoted = fedcart("promote", recipe, 1, "--by", "ann")
        assert promoted.exit_code == 0, "the champion stands in the bucket"
        assert "The models repository does not show it yet (models-missing)" in promoted.stderr
        assert refused(fedcart("sync", recipe), InputError) == "models-missing"
        pygit2.init_repository(str(repository), bare=True)
        tags = [f"{recipe}@v1.0.0", f"{recipe}#champion#1"]
        assert said(fedcart("sync", recipe)) == f"2 tags recorded: {', '.join(tags)}.\n"
        assert said(fedcart("sync", recipe, "--check")) == (
            "The models repository shows every release that can be recorded.\n"
        )
        nothing = {"tags": [], "lost": [], "mended": []}
        assert json.loads(said(fedcart("sync", recipe, "--json"))) == nothing
        assert json.loads(said(fedcart("list", recipe, "--json")))[0]["tag"] == tags[0]
    finally:
        update_role_settings(home, "coordinator", {"models_repository": None})
    assert json.loads(said(fedcart("list", recipe, "--json")))[0]["tag"] is None


def test_a_release_whose_lineage_record_is_damaged_is_shown_all_the_same(
    fedcart, home, store, recipe, recordable
):
    finished(home, store, recipe, "first")
    store.put_blob(release_key(recipe, 1, "lineage"), b"damaged")
    assert refused(fedcart("promote", recipe, 1, "--by", "ann"), IntegrityError) == "lineage-invalid"
    shown = fedcart("show", recipe, 1)
    assert "cannot be promoted." in said(shown)
    assert "lineage-invalid: The lineage record of release 1" in shown.stdout
    assert json.loads(said(fedcart("show", recipe, 1, "--json")))["lineage"] is None


def test_an_unsigned_release_is_not_promoted(fedcart, home, store, recipe, recordable):
    run = finished(home, store, recipe, "first", signed=False)
    done = fedcart("promote", recipe, 1, "--by", "ann")
    assert refused(done, RunConflict) == "release-unsigned"
    assert f"run fedcart release propose {run.run}, which signs it" in str(done.exception)
    assert read_champion(store, recipe) is None
    sign(home, store, recipe, 1)
    assert "is release 1" in said(fedcart("promote", recipe, 1, "--by", "ann"))


def test_a_release_that_was_altered_is_neither_promoted_nor_returned_to(
    fedcart, home, store, recipe, recordable
):
    for number, name in enumerate(("first", "second"), start=1):
        finished(home, store, recipe, name)
        said(fedcart("promote", recipe, number, "--by", "ann"))
    finished(home, store, recipe, "third")
    for number in (1, 3):
        store.put_blob(release_key(recipe, number, "signature"), b"{}")
    assert refused(fedcart("promote", recipe, 3, "--by", "ann"), IntegrityError) == "release-altered"
    assert "Release 3 of" in said(fedcart("show", recipe, 3)), "and why it cannot be promoted"
    assert refused(fedcart("rollback", recipe, "--by", "ann"), IntegrityError) == "release-altered"
    assert read_champion(store, recipe).release == 2


def test_without_the_key_that_signs_models_no_word_is_given(fedcart, home, store, recipe):
    proposed(store, recipe, "first", approval="person")
    path = load_role_settings(home, "coordinator").model_signing_key
    hidden = path.rename(path.with_suffix(".away"))
    try:
        assert refused(fedcart("approve", recipe, 1, "--by", "ann"), InputError) == "key-missing"
        assert refused(fedcart("promote", recipe, 1, "--by", "ann"), InputError) == "key-missing"
    finally:
        hidden.rename(path)
    assert read_release(store, recipe, 1).found.approval is None
