import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmodels.training.batching import evaluation_batches, num_batches, training_batches

LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=300).map(np.array)
SEED = (42, "shop-a", 1)


@given(LENGTHS, st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_every_row_is_used_exactly_once(lengths, batch_size):
    for batches in (
        training_batches(lengths, batch_size, seed=SEED, epoch=0),
        evaluation_batches(lengths, batch_size),
    ):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert max(len(batch) for batch in batches) <= batch_size
        assert len(batches) == num_batches(len(lengths), batch_size)


def test_sizes_differ_by_at_most_one():
    # 33 rows in batches of 16: three of 11, and not 16 + 16 + 1.
    batches = training_batches(np.full(33, 5), 16, seed=SEED, epoch=0)
    assert [len(batch) for batch in batches] == [11, 11, 11]


def test_number_of_steps_is_that_of_the_schedule_for_data_larger_than_a_pool():
    for count in (1, 127, 128, 129, 1000):
        assert len(training_batches(np.arange(count) % 50 + 1, 2, seed=SEED, epoch=0)) == num_batches(
            count, 2
        )


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def test_order_follows_from_seed_party_round_and_epoch():
    lengths = np.arange(100) % 7 + 1
    first = as_lists(training_batches(lengths, 8, seed=SEED, epoch=0))
    assert first == as_lists(training_batches(lengths, 8, seed=SEED, epoch=0))
    others = [
        training_batches(lengths, 8, seed=SEED, epoch=1),
        training_batches(lengths, 8, seed=(43, "shop-a", 1), epoch=0),
        training_batches(lengths, 8, seed=(42, "shop-b", 1), epoch=0),
        training_batches(lengths, 8, seed=(42, "shop-a", 2), epoch=0),
    ]
    assert all(as_lists(other) != first for other in others)


def test_buckets_need_less_padding_than_a_plain_shuffle():
    random = np.random.default_rng(0)
    lengths = random.integers(5, 64, 400)

    def padded(batches):
        return sum(len(batch) * lengths[batch].max() for batch in batches)

    shuffled = np.array_split(random.permutation(400), 25)
    bucketed = training_batches(lengths, 16, seed=SEED, epoch=0)
    assert padded(shuffled) > 1.5 * lengths.sum()
    assert padded(bucketed) < 1.1 * lengths.sum()


def test_batches_are_not_in_the_order_of_length():
    lengths = np.arange(200) + 1
    means = [lengths[batch].mean() for batch in training_batches(lengths, 10, seed=SEED, epoch=0)]
    assert means != sorted(means)


def test_evaluation_begins_with_the_longest_texts():
    batches = evaluation_batches(np.array([3, 9, 5, 9]), 2)
    assert as_lists(batches) == [[1, 3], [2, 0]]


@pytest.mark.parametrize(
    ("examples", "size", "expected"), [(1, 32, 1), (32, 32, 1), (33, 32, 2), (64, 32, 2)]
)
def test_number_of_batches(examples, size, expected):
    assert num_batches(examples, size) == expected
