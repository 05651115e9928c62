"""What the Prefect UI shows of a contract: verdicts and counts, what failed first."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.party import artifacts
from tasks.party.artifacts import contract_markdown, show_contract
from tasks.party.kept_contract import ContractCheck
from validation.verdict import ContractVerdict, Finding

FINDINGS = (
    Finding("train", "expect_a", "text", "critical", passed=True, rows=30, unexpected=0),
    Finding("facts", "expect_b", "null_texts", "warning", passed=False, rows=1, unexpected=1),
    Finding("own", "expect_c", "", "critical", passed=False, evaluated=False),
)


def check(*, unchanged=False):
    verdict = ContractVerdict(FINDINGS)
    return ContractCheck(verdict, unchanged, Path("/private/index.html"), 30, 10, {"empty_texts": 1})


def test_the_table():
    shown = contract_markdown(check())
    assert "/private" not in shown
    assert shown.splitlines() == [
        "The contract is broken: of 3 expectations, 1 critical and 1 warning failed.",
        "30 rows to train on, 10 held out.",
        "",
        "| part | expectation | column | severity | verdict | rows | unexpected |",
        "| --- | --- | --- | --- | --- | ---: | ---: |",
        "| own | expect_c |  | critical | not evaluated |  |  |",
        "| facts | expect_b | null_texts | warning | failed | 1 | 1 |",
        "| train | expect_a | text | critical | passed | 30 | 0 |",
    ]


@pytest.fixture
def created(monkeypatch):
    """The artifacts that are made, without a server."""
    made = []
    monkeypatch.setattr(artifacts, "best_effort", lambda *shows: [show() for show in shows])
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **artifact: made.append(artifact))
    monkeypatch.setattr(artifacts, "get_run_logger", lambda: logging.getLogger("party"))
    return made


@pytest.mark.parametrize("unchanged", [True, False])
def test_a_skipped_validation_says_so_in_log_and_artifact(created, caplog, tmp_path, unchanged):
    session = SimpleNamespace(
        run="run-1", party="shop-a", contract=check(unchanged=unchanged), folder=tmp_path, seconds={}
    )
    with caplog.at_level(logging.INFO):
        show_contract.fn(session)
    assert ("Validation is skipped" in caplog.text) is unchanged
    (artifact,) = created
    assert artifact["key"] == "run-1-shop-a-contract"
    assert ("Neither data nor expectations have changed" in artifact["markdown"]) is unchanged


def test_data_that_could_not_be_read_have_nothing_to_show(created, tmp_path):
    show_contract.fn(SimpleNamespace(party="shop-a", contract=None, folder=tmp_path, seconds={}))
    assert created == []
