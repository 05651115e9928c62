from pathlib import Path

import pytest

from fedmodels.data.sources import read_rated_sentences
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from infra.packages import fetch_source

HOME = Path(__file__).resolve().parents[3] / ".fedcart"


@pytest.fixture(scope="session")
def review_file():
    """The real data, fetched by the real code; kept between sessions where the demo keeps it too."""
    return fetch_source("amazon-review-sentences", HOME)


@pytest.fixture(scope="session")
def review_sentences(review_file):
    return read_rated_sentences(review_file)


@pytest.fixture
def own_tables():
    """A recipe's data section for two parties with tables of their own."""

    def make(**changes):
        values = {
            "parties": {"shop-a": PartyData(train="a.csv"), "shop-b": PartyData(train="b.csv")},
            "coordinator": CoordinatorData(table="own.csv"),
        }
        return DataConfig(**{**values, **changes})

    return make
