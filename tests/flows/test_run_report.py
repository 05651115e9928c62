"""A run's report as a folder."""

import json

import pytest

from fedmodels.errors import InputError
from fedmodels.protocol.messages import PartyRow
from fedmodels.protocol.progress import opening_head
from flows.run_report import read_scores, write_run_report
from tasks.reading import RunMessages
from tests.fedmodels.protocol.builders import BASE, plan_for, recipe_for, record, scores


def played(rounds: int = 1) -> RunMessages:
    own = {"parties": {"a": PartyRow(num_examples=10, metrics=scores())}}
    records = tuple(record(number).model_copy(update=own) for number in range(1, rounds + 1))
    return RunMessages(plan_for(recipe_for()), opening_head("r", BASE), records, None)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_page_and_tables_and_the_same_bytes_again(tmp_path):
    folder = tmp_path / "report"
    write_run_report(folder, played())
    first = content(folder)
    assert sorted(first) == ["parties/a.json", "report.md", "rounds.json"]
    assert [row["round"] for row in json.loads(first["rounds.json"])] == [1]
    assert json.loads(first["parties/a.json"])[0]["accuracy"] == 0.7
    write_run_report(folder, played())
    assert content(folder) == first


def test_it_takes_the_place_of_a_report_and_of_nothing_else(tmp_path):
    folder = tmp_path / "report"
    write_run_report(folder, played())
    write_run_report(folder, played(2))
    assert len(json.loads((folder / "rounds.json").read_text())) == 2
    (other := tmp_path / "thesis").mkdir()
    (other / "chapter.md").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no report") as caught:
        write_run_report(other, played())
    assert caught.value.code == "folder-taken"
    assert (other / "chapter.md").read_text() == "mine"


def test_scores_of_evaluate_are_read_and_nothing_else_is(tmp_path):
    file = tmp_path / "scores.json"
    with pytest.raises(InputError) as caught:
        read_scores(file)
    assert caught.value.code == "scores-invalid"
    good = {"accuracy": 0.5, "macro_f1": 0.4, "loss": 0.7, "num_examples": 62, "same_rows": True}
    file.write_text(json.dumps({"holdout": good}))
    assert read_scores(file)["holdout"].num_examples == 62
    for damaged in ("{", "[]", '{"holdout": {"accuracy": 2}}'):
        file.write_text(damaged)
        with pytest.raises(InputError, match="fedcart evaluate RUN --out FILE"):
            read_scores(file)
