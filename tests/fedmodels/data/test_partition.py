from collections import Counter

import pytest

from fedmodels.data.cleaning import clean_text
from fedmodels.data.partition import partition_source
from fedmodels.data.sources import rows_of_groups
from fedmodels.errors import InputError
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData

SHOPS = {"dvd-shop": "1-99", "camera-shop": "100-175", "phone-shop": "176-215", "music-shop": "216-309"}


def config(shops=SHOPS, shares=(0.08, 0.10, 0.20)):
    return DataConfig(
        source="amazon-review-sentences",
        parties={party: PartyData(groups=(groups,)) for party, groups in shops.items()},
        coordinator=CoordinatorData(shares=shares),
    )


@pytest.fixture(scope="module")
def partition(review_sentences):
    return partition_source(review_sentences, config(), seed=42)


def test_every_set_has_its_share(partition):
    sizes = {name: len(rows) for name, rows in partition.coordinator.sets().items()}
    for name, share in (("public", 0.08), ("validation", 0.10), ("holdout", 0.20)):
        assert sizes[name] / 2985 == pytest.approx(share, abs=0.005)
    for rows in partition.parties.values():
        assert len(rows.holdout) / (len(rows.train) + len(rows.holdout)) == pytest.approx(0.15, abs=0.02)


def test_no_text_is_in_two_places(partition):
    coordinator = [set(rows.texts) for rows in partition.coordinator.sets().values()]
    for index, texts in enumerate(coordinator):
        assert not any(texts & other for other in coordinator[index + 1 :])
    parties = {
        clean_text(text)[0]
        for rows in partition.parties.values()
        for text in rows.train.texts + rows.holdout.texts
    }
    assert not any(texts & parties for texts in coordinator)


def test_no_review_is_in_two_places(partition, review_sentences):
    places = {name: set(rows.texts) for name, rows in partition.coordinator.sets().items()}
    for party, rows in partition.parties.items():
        places[f"{party} train"], places[f"{party} holdout"] = set(rows.train.texts), set(rows.holdout.texts)
    found: dict[int, set[str]] = {}
    texts = review_sentences["text"].to_pylist()
    common = {text for text, count in Counter(texts).items() if count > 1}
    for text, group in zip(texts, review_sentences["group"].to_pylist(), strict=True):
        if text not in common:
            found.setdefault(group, set()).update(
                name for name, held in places.items() if text in held or clean_text(text)[0] in held
            )
    assert all(len(names) == 1 for names in found.values())


def test_every_product_is_represented_at_the_coordinator(partition, review_sentences):
    holdout = set(partition.coordinator.holdout.texts)
    for bounds in SHOPS.values():
        first, last = map(int, bounds.split("-"))
        own = rows_of_groups(review_sentences, frozenset(range(first, last + 1)))
        share = sum(clean_text(text)[0] in holdout for text in own.texts) / len(own)
        assert share == pytest.approx(0.20, abs=0.05)


def test_the_shops_differ_in_size_and_mood(partition):
    train = {party: rows.train for party, rows in partition.parties.items()}
    assert len(train["music-shop"]) > 2.5 * len(train["phone-shop"])
    positive = {party: rows.labels.count("positive") / len(rows) for party, rows in train.items()}
    assert positive["camera-shop"] > 0.7 > 0.5 > positive["dvd-shop"]


def test_the_seed_decides(review_sentences, partition):
    assert partition_source(review_sentences, config(), seed=42) == partition
    assert partition_source(review_sentences, config(), seed=43).coordinator != partition.coordinator


def test_rows_of_no_party_are_not_used(review_sentences):
    two = partition_source(review_sentences, config({"a": "1-20", "b": "30-50"}), seed=1)
    total = sum(len(rows.train) + len(rows.holdout) for rows in two.parties.values())
    total += sum(len(rows) for rows in two.coordinator.sets().values())
    own = rows_of_groups(review_sentences, frozenset(range(1, 21)) | frozenset(range(30, 51)))
    assert len(own) - 10 <= total <= len(own)


def test_a_party_that_would_keep_nothing(review_sentences):
    with pytest.raises(InputError) as caught:
        partition_source(review_sentences, config({"a": "1-20", "b": "30"}, shares=(0.3, 0.3, 0.4)), seed=1)
    assert caught.value.code == "party-without-rows"
