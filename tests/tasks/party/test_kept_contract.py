"""A verdict is kept until something that decides it changes, in a folder that only the party may open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.counts import TableCounts
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData, Recipe
from infra.settings import Tables
from tasks.party.contract import Outcome, Terms, freshness_ends
from tasks.party.kept_contract import check_unless_kept, contract_folder, contract_key
from validation.verdict import ContractVerdict, Finding

PARTIES = {"shop-a": PartyData(train="own"), "shop-b": PartyData(train="own")}
DATA = DataConfig(parties=PARTIES, coordinator=CoordinatorData(table="own"))
RECIPE = Recipe(name="own", data=DATA)
FINDING = Finding("train", "expect_something", "text", "warning", passed=False, rows=40, unexpected=2)


def later(**spans):
    return datetime.now(UTC) + timedelta(**spans)


@pytest.fixture
def terms(tmp_path):
    for name in ("train.csv", "holdout.csv", "expectations.yaml"):
        (tmp_path / name).write_text(name)
    tables = Tables(
        train=tmp_path / "train.csv",
        holdout=tmp_path / "holdout.csv",
        expectations=tmp_path / "expectations.yaml",
    )
    return Terms(RECIPE, ("0", "1"), tables)


@pytest.fixture
def look(tmp_path, terms):
    """Check under a key, and count how often something was evaluated."""
    folder = contract_folder(tmp_path / "shop-a", "own")
    evaluated = []

    def check(key, until=None):
        def found(now, scratch):
            assert scratch == folder
            evaluated.append(now)
            counts = TableCounts(30, 10, {"0": 15, "1": 15}, 0, {"empty_texts": 1})
            return Outcome(ContractVerdict((FINDING,)), {}, counts, until)

        return check_unless_kept(folder, terms, key, found), len(evaluated)

    return look_in(folder, check)


def look_in(folder, check):
    check.folder = folder
    return check


def test_what_has_not_changed_is_not_evaluated_again(look):
    first, _ = look("a" * 64)
    second, times = look("a" * 64)
    assert times == 1
    assert (first.unchanged, second.unchanged) == (False, True)
    assert second.verdict == first.verdict == ContractVerdict((FINDING,))
    assert (second.train_rows, second.holdout_rows, second.cleaned) == (30, 10, {"empty_texts": 1})


def test_another_key_is_evaluated(look):
    look("a" * 64)
    assert look("b" * 64)[1] == 2
    assert look("a" * 64)[1] == 3


def test_a_verdict_without_a_key_serves_nobody(look):
    look(None)
    assert look(None)[1] == 2
    assert look("a" * 64)[1] == 3


@pytest.mark.parametrize(("until", "times"), [(later(hours=1), 1), (later(hours=-1), 2)])
def test_a_verdict_on_freshness_ends_though_nothing_changed(look, until, times):
    look("a" * 64, until)
    assert look("a" * 64, until)[1] == times


@pytest.mark.parametrize("garbage", ["", "{", '{"key": 1}'])
def test_a_garbled_verdict_is_found_anew(look, garbage):
    look("a" * 64)
    (look.folder / "verdict.json").write_text(garbage)
    assert look("a" * 64)[1] == 2


def test_nobody_else_may_open_it_and_old_pages_go(look):
    look.folder.mkdir(parents=True)
    (look.folder / "own_train.html").write_text("of an earlier check")
    found, _ = look("a" * 64)
    assert sorted(path.name for path in look.folder.iterdir()) == ["index.html", "verdict.json"]
    assert found.page == look.folder / "index.html"
    for path in (look.folder, look.folder.parent, *look.folder.iterdir()):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["train", "holdout", "expectations"])
def test_the_key_changes_with_each_file(terms, name):
    before = contract_key(terms)
    assert contract_key(terms) == before
    getattr(terms.tables, name).write_text("something else")
    assert contract_key(terms) != before
    getattr(terms.tables, name).unlink()
    assert contract_key(terms) != before


@pytest.mark.parametrize(
    "changed",
    [
        RECIPE.model_copy(update={"seed": 7}),
        RECIPE.model_copy(update={"data": DATA.model_copy(update={"min_rows": 5})}),
        RECIPE.model_copy(update={"contract": LabelledTextContract(uniqueness=None)}),
    ],
    ids=["seed", "data", "contract"],
)
def test_the_key_changes_with_the_suite(terms, changed):
    assert contract_key(Terms(changed, terms.labels, terms.tables)) != contract_key(terms)
    assert contract_key(Terms(RECIPE, ("0", "2"), terms.tables)) != contract_key(terms)


def test_a_file_that_is_named_and_missing_is_not_like_none(terms):
    without = replace(terms, tables=terms.tables.model_copy(update={"expectations": None}))
    terms.tables.expectations.unlink()
    assert contract_key(terms) != contract_key(without)


def test_the_key_does_not_change_with_what_trains(terms):
    other = RECIPE.model_copy(update={"num_rounds": 9})
    assert contract_key(Terms(other, terms.labels, terms.tables)) == contract_key(terms)


def test_when_a_verdict_on_freshness_ends():
    now = datetime(2024, 5, 10, tzinfo=UTC)

    def ends(newest):
        return freshness_ends(newest, 5.0, now)

    assert ends(now - timedelta(days=2)) == now + timedelta(days=3)
    assert ends(now - timedelta(days=6)) is None
    assert ends(None) is None
    assert ends(now + timedelta(days=2)) == now
