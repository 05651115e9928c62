"""Texts: words, hashes, the reference's own rate of unknown words, and drift of length and vocabulary."""

import numpy as np
import pytest

from fedmodels.errors import DataRefused
from validation.drift.policy import DriftPolicy
from validation.drift.texts import hash_word, measure_texts, profile_texts, words_of

POLICY = DriftPolicy(min_rows=20)


def rng():
    return np.random.default_rng(0)


def measures(reference, fresh, policy=POLICY):
    profile = profile_texts("text", reference, policy, rng())
    return {each.name: each for each in measure_texts("text", profile, fresh, policy, rng())[1]}


def texts(generator, rows, vocabulary=300, words=10, first=0):
    ids = generator.zipf(1.3, (rows, words)) % vocabulary + first
    return [" ".join(f"w{word}" for word in row) for row in ids]


def test_words_are_folded_and_han_characters_stand_alone():
    assert words_of("Great, PHONE: it's 5€!") == ["great", "phone", "it", "s", "5"]
    assert words_of("好用 phone") == ["好", "用", "phone"]
    assert words_of("?!") == []


def test_a_hash_is_the_same_in_every_process():
    assert hash_word("phone") == 16649119114891606515
    assert hash_word("phone") != hash_word("phones")


def test_the_references_own_rate_is_each_text_against_the_others():
    profile = profile_texts("text", ["a b", "a c", *["a a"] * 20], POLICY, rng())
    assert profile.unknown_mean == pytest.approx((0.5 + 0.5) / 22)
    assert profile.unknown_rows == 22  # no word stands in two texts exactly
    assert len(profile.vocabulary) == 3
    profile = profile_texts("text", ["a b", "a c", "a c", *["a a"] * 20], POLICY, rng())
    assert profile.unknown_rows == pytest.approx(23 / 3)  # N1 = 1, N2 = 1


def test_texts_of_the_same_world_have_no_drift():
    generator = np.random.default_rng(1)
    found = measures(texts(generator, 400), texts(generator, 300))
    assert all(each.p_value > 0.01 for each in found.values())
    assert all(each.effect < each.bound for each in found.values())


def test_unknown_words_are_drift():
    generator = np.random.default_rng(2)
    mixed = texts(generator, 200) + texts(generator, 100, first=10_000)
    found = measures(texts(generator, 400), mixed)["out_of_vocabulary"]
    assert found.effect == pytest.approx(1 / 3, abs=0.05)
    assert found.p_value < 1e-6


def test_a_fall_of_unknown_words_is_none():
    generator = np.random.default_rng(3)
    found = measures(texts(generator, 300, vocabulary=20_000), ["w1 w2"] * 100)["out_of_vocabulary"]
    assert found.effect == 0.0
    assert found.p_value > 0.99


def test_longer_texts_are_drift():
    generator = np.random.default_rng(4)
    found = measures(texts(generator, 400), texts(generator, 300, words=20))
    assert found["length_ks"].effect == pytest.approx(1.0, abs=0.05)
    assert found["length_wasserstein"].p_value < 1e-10


def test_of_many_texts_some_are_looked_up():
    policy = DriftPolicy(text_rows=100)
    generator = np.random.default_rng(5)
    fresh = texts(generator, 500) + texts(generator, 500, first=10_000)
    found = measures(texts(generator, 400), fresh, policy)
    assert found["out_of_vocabulary"].effect == pytest.approx(0.5, abs=0.2)


def test_texts_without_words_cannot_be_used():
    with pytest.raises(DataRefused) as refused:
        measures(["a b"] * 50, ["?!"] * 50)
    assert refused.value.code == "drift-too-few-values"
    assert str(refused.value).startswith("Feature text has 0 rows with a word, and the tests need 20")


def test_the_profile_holds_no_word():
    profile = profile_texts("text", ["eve@example.org sees"] * 30, POLICY, rng())
    assert "eve" not in repr(profile)
    assert profile.vocabulary.dtype == np.uint64
