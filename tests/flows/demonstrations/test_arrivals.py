"""What arrives in the demonstration of drift: real rows, none of which the recipe's own tables hold."""

from pathlib import Path

import pytest

from fedmodels.data.fresh import read_window
from fedmodels.data.partition import partition_source
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.sources import read_rated_sentences
from flows.demonstrations.arrivals import (
    DRIFT,
    NO_DRIFT,
    TWEETS,
    WORSE,
    arrival_of,
    let_arrive,
    with_wrong_labels,
)
from flows.demonstrations.drift import PARTY, RECIPE, start_afresh
from flows.recipes import load_recipe
from infra.package_sources import DATA_SOURCES
from infra.packages import fetch_source
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings

HOME = Path(__file__).resolve().parents[3] / ".fedcart"


@pytest.fixture(scope="module")
def recipe():
    return load_recipe(RECIPE)


@pytest.fixture(scope="module")
def arrivals(recipe):
    return {kind: arrival_of(kind, recipe, PARTY, HOME) for kind in (DRIFT, NO_DRIFT, WORSE)}


def test_tweets_come_from_the_pinned_file_of_their_own_folder():
    tweets, reviews = (DATA_SOURCES[name] for name in ("tweets", "amazon-review-sentences"))
    assert (tweets.sha256, tweets.version) == (reviews.sha256, reviews.version)
    assert tweets.folder == "vaderSentiment-3.3.2-tweets" != reviews.folder
    table = read_rated_sentences(fetch_source("tweets", HOME))
    assert table.num_rows == 3432
    assert table["label"].to_pylist().count("positive") == 2345


def test_tweets_arrive_with_their_labels_or_with_reviews_and_wrong_ones(arrivals):
    tweets, reviews, wrong = (arrivals[kind].rows for kind in (DRIFT, NO_DRIFT, WORSE))
    assert len(tweets) == TWEETS
    assert wrong.texts == tweets.texts + reviews.texts
    right = tweets.labels + reviews.labels
    assert all(one != other for one, other in zip(right, wrong.labels, strict=True))
    assert set(right) == set(wrong.labels) == {"negative", "positive"}


def test_rows_of_the_same_kind_are_in_no_table_of_the_recipe(recipe, arrivals):
    table = read_rated_sentences(fetch_source(recipe.data.source, HOME))
    partition = partition_source(table, recipe.data, recipe.seed)
    own = partition.parties[PARTY]
    used = {*own.train.texts, *own.holdout.texts, *partition.coordinator.validation.texts}
    arrived = arrivals[NO_DRIFT].rows
    assert len(arrived) > 300
    assert len(used & set(arrived.texts)) <= 3  # customers do write the same sentence


def test_each_label_becomes_the_one_after_it():
    rows = LabelledTexts(("a", "b", "c", "d"), ("1", "2", "3", "1"))
    assert with_wrong_labels(rows) == LabelledTexts(("a", "b", "c", "d"), ("2", "3", "1", "2"))


def test_what_arrives_stands_in_the_partys_own_settings(recipe, arrivals, tmp_path):
    own = {"home": str(tmp_path), "role": PARTY, "tables": {RECIPE: {"train": "train.parquet"}}}
    update_role_settings(tmp_path, PARTY, own)
    path = let_arrive(arrivals[DRIFT], recipe, tmp_path)
    tables = load_role_settings(tmp_path, PARTY).tables[RECIPE]
    assert (str(tables.train), tables.fresh) == ("train.parquet", path)
    assert len(read_window(path, recipe.data, {}, table="fresh").rows) > 550  # some are written twice


def test_a_demonstration_begins_in_an_empty_home_with_the_downloads_of_the_one_above(tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "kept").write_text("83 MB")
    home = tmp_path / RECIPE
    for _ in range(2):
        start_afresh(home)
        assert (home / "downloads" / "kept").read_text() == "83 MB"
        assert [path.name for path in home.iterdir()] == ["downloads"]
        (home / "parties").mkdir()
