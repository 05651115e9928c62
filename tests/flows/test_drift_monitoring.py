"""The flow at a party: a notice when drift has lasted, a sentence when nothing can be compared."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import DataRefused, StoreUnavailable, TrainingFailed
from fedmodels.protocol.drift import open_notice
from flows import drift_monitoring
from flows.drift_monitoring import monitor
from infra.deployments.drift_automation import retraining_parameters
from infra.keys import public_key, verify
from infra.layout import drift_prefix
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from tasks.drift import noticing
from tasks.drift.artifacts import check_markdown
from tasks.drift.checking import check_drift
from tasks.retraining.asking import read_reason
from tasks.retraining.watching import event_payload
from tests.store_alone import store_alone
from tests.tasks.drift.champion import PARTIES, REVIEWS, TWEETS, Champion, sentences

NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def champion(home, tmp_path, monkeypatch):
    made = Champion(home, f"recipe-{next(NAMES)}", tmp_path, needed=1, of=1)
    made.write("shop-a", "train", sentences(REVIEWS, 400, 0))
    made.release()
    for step in ("compare_rows", "notify"):
        monkeypatch.setattr(drift_monitoring, step, getattr(drift_monitoring, step).fn)

    def show(_desk, _check):
        raise TrainingFailed("The artifact failed")

    monkeypatch.setattr(drift_monitoring, "show_drift", show)
    return made


@pytest.fixture
def flow(champion, monkeypatch):
    """The flow's function, with the settings of the first party."""
    monkeypatch.setattr(
        drift_monitoring, "load_settings", lambda: load_role_settings(champion.home, "shop-a")
    )
    return lambda recipe=champion.recipe.name: drift_monitoring.drift_monitoring.fn(recipe)


def notices(champion) -> list[str]:
    return list(champion.store.list_keys(f"{drift_prefix('shop-a')}{champion.recipe.name}/"))


def test_drift_that_has_lasted_leaves_one_notice_though_it_cannot_be_shown(champion):
    champion.write("shop-a", "fresh", sentences(TWEETS, 150, 8))
    found = monitor(champion.desk("shop-a"))
    assert {"text", "embedding"} <= set(found["lasting"])
    assert monitor(champion.desk("shop-a"))["notice"] == found["notice"]
    assert notices(champion) == [found["notice"]]


def test_drift_that_goes_on_renews_its_notice_before_it_is_too_old(champion, monkeypatch):
    """The file is the same, so the check is; a notice counts for a day, by the store's clock."""
    champion.write("shop-a", "fresh", sentences(TWEETS, 150, 8))
    first = monitor(champion.desk("shop-a"))["notice"]
    listed, passed = noticing.list_objects, 0.0

    def aged(*asked):
        grow = {first: passed}
        return [replace(each, age=each.age + grow.get(each.key, 0.0)) for each in listed(*asked)]

    monkeypatch.setattr(noticing, "list_objects", aged)
    passed = 11 * 3600.0
    assert monitor(champion.desk("shop-a"))["notice"] == first
    passed = 13 * 3600.0
    second = monitor(champion.desk("shop-a"))["notice"]
    assert monitor(champion.desk("shop-a"))["notice"] == second != first
    assert sorted(notices(champion)) == sorted([first, second])


def test_rows_of_the_same_kind_leave_none(champion):
    champion.write("shop-a", "fresh", sentences(REVIEWS, 150, 7, start=1000))
    assert monitor(champion.desk("shop-a"))["notice"] is None
    assert notices(champion) == []


NAMED = ("größe", "preis (EUR)", "price/unit", "it's €", "<b>|[x](y)")


def test_a_column_of_any_printable_name_is_told_as_far_as_the_event(home, tmp_path, monkeypatch):
    made = Champion(
        home,
        f"recipe-{next(NAMES)}",
        tmp_path,
        needed=1,
        of=1,
        features=["text"],
        columns=dict.fromkeys(NAMED, "number"),
    )

    def table(name, rows, mean):
        path = tmp_path / f"{name}.parquet"
        values = {"text": rows.texts, "label": rows.labels}
        values |= {column: [mean + n % 7 for n in range(len(rows))] for column in NAMED}
        pd.DataFrame(values).to_parquet(path)
        update_role_settings(home, "shop-a", {"tables": {made.recipe.name: {name: str(path)}}})

    table("train", sentences(REVIEWS, 200, 0), 10)
    made.release()
    table("fresh", sentences(TWEETS, 100, 8), 18)
    for step in ("compare_rows", "notify"):
        monkeypatch.setattr(drift_monitoring, step, getattr(drift_monitoring, step).fn)
    monkeypatch.setattr(
        drift_monitoring, "show_drift", lambda _desk, check: pages.append(check_markdown(check))
    )
    pages = []
    desk = made.desk("shop-a")
    told = monitor(desk)
    assert set(told["lasting"]) == {"text", *NAMED}
    assert "| \\<b\\>\\|\\[x\\]\\(y\\) |" in pages[0]
    key = told["notice"]
    place = (made.recipe.name, key.rpartition("/")[2].removesuffix(".json"))
    public = public_key(made.keys["shop-a"])
    notice = open_notice(
        made.store.read(key), "shop-a", place, lambda data, signed: verify(public, data, signed)
    )
    event = SimpleNamespace(payload=event_payload(notice, key))
    context = HydrationContext(render_jinja=True, jinja_context={"event": event}, raise_on_error=True)
    given = hydrate(retraining_parameters(), context)
    assert set(read_reason(given["reason"]).features) == {"text", *NAMED}


def test_a_party_that_may_not_speak_of_it_says_nothing(champion):
    champion.write("shop-a", "fresh", sentences(TWEETS, 150, 8))
    update_role_settings(champion.home, "shop-a", {"policy": {"drift_features": ["label"]}})
    try:
        found = monitor(champion.desk("shop-a"))
    finally:
        update_role_settings(champion.home, "shop-a", {"policy": {"drift_features": None}})
    assert (found["lasting"], found["notice"]) == ([], None)
    assert notices(champion) == []


def test_where_there_is_nothing_to_check_yet_it_ends_well(flow):
    state = flow()
    assert (state.name, state.is_completed()) == ("NotChecked", True)
    assert state.message.startswith("drift-nothing-fresh: The train table of party shop-a has no row")
    assert flow("nowhere").message.startswith("drift-no-champion: ")


def test_fewer_rows_than_the_tests_need_are_no_fault_of_a_scheduled_check(flow, champion):
    champion.write("shop-a", "fresh", sentences(REVIEWS, 20, 7, start=1000))
    state = flow()
    assert (state.name, state.is_completed()) == ("NotChecked", True)
    assert state.message.startswith("drift-too-few-rows: The fresh table of party shop-a has 20 different")


def test_what_is_refused_fails_with_one_sentence(flow, champion):
    made = Champion(champion.home, f"recipe-{next(NAMES)}", champion.folder, features=["text"])
    made.write("shop-a", "train", sentences(REVIEWS, 200, 0))
    made.release()
    made.write("shop-a", "fresh", LabelledTexts(tuple("?" * n for n in range(1, 151)), ("good",) * 150))
    state = flow(made.recipe.name)
    assert state.is_failed()
    assert state.message.startswith("drift-too-few-values: Feature text has 0 rows with a word")
    assert flow("No Id").message.startswith("id-invalid: ")


@pytest.mark.parametrize(
    ("allowed", "column", "names"),
    [
        (["text"], "price", False),
        ([], "price", False),
        (["price"], "price", True),
        (["text"], "it's €", False),
    ],
)
def test_a_failure_names_no_feature_of_which_the_policy_lets_nothing_be_said(
    home, tmp_path, monkeypatch, allowed, column, names
):
    """The fresh table lacks the one column that the recipe watches."""
    made = Champion(home, f"recipe-{next(NAMES)}", tmp_path, columns={column: "number"}, features=[])
    rows = sentences(REVIEWS, 200, 0)
    path = made.write("shop-a", "train", rows)
    pd.DataFrame({"text": rows.texts, "label": rows.labels, column: 1.5}).to_parquet(path)
    made.release()
    made.write("shop-a", "fresh", sentences(REVIEWS, 150, 7, start=1000))
    with pytest.raises(DataRefused) as told:
        check_drift(made.desk("shop-a"))
    assert column in str(told.value), "by hand it is named"
    monkeypatch.setattr(drift_monitoring, "load_settings", lambda: load_role_settings(home, "shop-a"))
    monkeypatch.setattr(drift_monitoring, "compare_rows", drift_monitoring.compare_rows.fn)
    update_role_settings(home, "shop-a", {"policy": {"drift_features": allowed}})
    try:
        state = drift_monitoring.drift_monitoring.fn(made.recipe.name)
    finally:
        update_role_settings(home, "shop-a", {"policy": {"drift_features": None}})
    assert state.is_failed()
    assert state.message.startswith(f"{told.value.code}: ")
    assert (column in state.message) is names


def test_a_store_that_is_away_is_a_failure(flow, monkeypatch):
    def away(_desk):
        raise StoreUnavailable("The object store does not answer")

    monkeypatch.setattr(drift_monitoring, "compare_rows", away)
    assert flow().is_failed()
