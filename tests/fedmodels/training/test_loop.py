import contextlib
import math
import time

import pytest
import torch

from fedmodels.classifier import build_classifier
from fedmodels.errors import TrainingFailed
from fedmodels.recipe import LocalTraining, ModelConfig
from fedmodels.training import loop
from fedmodels.training.evaluate import evaluate
from fedmodels.training.loop import train_local

SEED = (42, "shop-a", 1)
FAST = LocalTraining(epochs=2, batch_size=8, learning_rate=1e-3)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def train(tiny_folder, encoded, labels):
    """Train a fresh model of the same weights; returns (weights, result)."""

    def run(config=FAST, schedule=(0, 1), seed=SEED, **options):
        model, _ = build_classifier(tiny_folder, ModelConfig(max_length=16), ("negative", "positive"), seed=1)
        result = train_local(model, encoded, labels, config, schedule=schedule, seed=seed, **options)
        return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}, result

    return run


def changed(config, **values):
    return config.model_copy(update=values)


def distance(one, other):
    return math.sqrt(sum(float((one[name] - other[name]).square().sum()) for name in one))


def test_same_arguments_give_the_same_bits_whatever_the_caller_drew_before(train):
    first, result = train()
    torch.manual_seed(12345)
    torch.rand(7)
    second, again = train()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (again.steps, again.loss) == (result.steps, result.loss)


@pytest.mark.parametrize("seed", [(43, "shop-a", 1), (42, "shop-b", 1), (42, "shop-a", 2)])
def test_another_seed_party_or_round_gives_another_result(train, seed):
    assert distance(train()[0], train(seed=seed)[0]) > 0.0


def test_the_callers_random_state_is_left_alone(train):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    train()
    assert torch.equal(torch.get_rng_state(), state)


def test_counts_and_mean_loss(train):
    losses = []
    _, result = train(on_step=lambda step, total, loss: losses.append((step, total, loss)))
    # 40 texts in batches of 8 make 5 steps an epoch.
    assert result.steps == 10
    assert result.num_examples == 40
    assert [(step, total) for step, total, _ in losses] == [(step, 10) for step in range(1, 11)]
    assert result.loss == pytest.approx(sum(loss for _, _, loss in losses) / 10)


@pytest.mark.parametrize(
    "config",
    [
        changed(FAST, epochs=12, learning_rate=3e-3),
        changed(FAST, epochs=12, optimizer="adam", learning_rate=3e-3),
        changed(FAST, epochs=20, optimizer="sgd", learning_rate=0.1, momentum=0.9),
    ],
    ids=lambda config: config.optimizer,
)
def test_every_optimiser_learns_the_texts(tiny, encoded, labels, config):
    model = tiny[0]
    before, _ = evaluate(model, encoded, labels)
    train_local(model, encoded, labels, config, schedule=(0, 1), seed=SEED)
    after, _ = evaluate(model, encoded, labels)
    assert before.accuracy < 0.8
    assert after.accuracy >= 0.95
    assert after.loss < before.loss


def test_no_epoch_changes_nothing(train, tiny):
    trained, result = train(changed(FAST, epochs=0))
    assert all(torch.equal(trained[name], tensor) for name, tensor in tiny[0].named_parameters())
    assert (result.steps, result.loss, result.num_examples, result.compute) == (0, None, 40, ())


def test_rows_of_unused_words_stay_bit_for_bit(train, tiny, encoded):
    trained, _ = train(changed(FAST, weight_decay=0.5))
    name = "bert.embeddings.word_embeddings.weight"
    before = dict(tiny[0].named_parameters())[name]
    moved = (trained[name] != before).any(dim=1).nonzero().flatten().tolist()
    used = set(encoded.ids.tolist())
    assert moved
    assert set(moved) <= used
    assert len(used) < 40


def test_training_the_used_rows_alone_is_training_all(train, monkeypatch):
    small, _ = train(changed(FAST, weight_decay=0.1, max_grad_norm=0.5))
    monkeypatch.setattr(loop, "only_used_rows", lambda model, used: contextlib.nullcontext())
    whole, _ = train(changed(FAST, weight_decay=0.1, max_grad_norm=0.5))
    assert distance(small, whole) < 1e-4 * distance(
        small, {name: 0 * tensor for name, tensor in small.items()}
    )


def test_learning_rate_continues_over_rounds(train, monkeypatch):
    rates = []
    original = loop.set_learning_rate

    def record(optimizer, rate):
        rates.append(rate)
        original(optimizer, rate)

    monkeypatch.setattr(loop, "set_learning_rate", record)
    config = changed(FAST, epochs=1, warmup_ratio=0.2, learning_rate=0.01)
    for passed in range(3):
        train(config, schedule=(passed, 3))
    # Three rounds of 5 steps: 3 warm up, 12 fall from 0.01 to a twelfth of it.
    expected = [1 / 3, 2 / 3, 1.0, *[left / 12 for left in range(12, 0, -1)]]
    assert rates == pytest.approx([0.01 * factor for factor in expected])


def test_gradients_are_clipped(train):
    # A step of plain SGD is rate x gradient: clipped, its length is rate x max_grad_norm.
    config = LocalTraining(
        epochs=1,
        batch_size=40,
        optimizer="sgd",
        learning_rate=1.0,
        max_grad_norm=1e-3,
        warmup_ratio=0.0,
        weight_decay=0.0,
    )
    start, _ = train(changed(config, epochs=0))
    assert distance(train(config)[0], start) == pytest.approx(1e-3, rel=1e-3)


def test_proximal_term_keeps_the_weights_close(train):
    start, _ = train(changed(FAST, epochs=0))
    config = changed(FAST, optimizer="sgd", learning_rate=0.05, epochs=5, max_grad_norm=1e9)
    distances = [distance(train(changed(config, proximal_mu=mu))[0], start) for mu in (0.0, 1.0, 10.0)]
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < 0.5 * distances[0]


def test_proximal_gradient_by_hand(train):
    # The first step starts at the base, where the term is zero; the second is pulled back by
    # rate x mu x the first step.
    config = LocalTraining(
        epochs=2,
        batch_size=40,
        optimizer="sgd",
        learning_rate=1e-3,
        warmup_ratio=0.0,
        decay="constant",
        weight_decay=0.0,
        max_grad_norm=1e9,
    )
    start, _ = train(changed(config, epochs=0))
    free, pulled = train(config)[0], train(changed(config, proximal_mu=100.0))[0]
    one_step, _ = train(changed(config, epochs=1))
    name = "classifier.weight"
    expected = free[name] - 1e-3 * 100.0 * (one_step[name] - start[name])
    assert torch.allclose(pulled[name], expected, atol=1e-7)
    assert not torch.allclose(pulled[name], free[name], atol=1e-7)


def test_intervals_lie_in_order_within_the_call(train):
    begin = time.perf_counter()
    _, result = train()
    end = time.perf_counter()
    times = [moment for interval in result.compute for moment in interval]
    assert times == sorted(times)
    assert begin <= times[0]
    assert times[-1] <= end
    assert len(result.compute) <= 10


def test_model_is_left_ready_for_scoring(tiny, encoded, labels):
    train_local(tiny[0], encoded, labels, FAST, schedule=(0, 1), seed=SEED)
    assert not tiny[0].training
    assert all(tensor.dtype is torch.float32 for tensor in tiny[0].parameters())


def test_bfloat16_trains_fp32_weights_close_to_fp32(train):
    start, _ = train(changed(FAST, epochs=0))
    single, _ = train(changed(FAST, precision="float32"))
    half, _ = train(changed(FAST, precision="bfloat16"))
    assert 0.0 < distance(single, half) < 0.5 * distance(single, start)
    assert {tensor.dtype for tensor in half.values()} == {torch.float32}


def code_of(call, **options):
    with pytest.raises(TrainingFailed) as caught:
        call(**options)
    return caught.value.code


def test_a_loss_that_is_no_number_stops_the_training(train):
    assert code_of(train, config=changed(FAST, optimizer="sgd", learning_rate=1e30)) == "training-not-finite"


def test_training_can_be_cancelled_between_steps(train):
    done = []
    code = code_of(train, should_stop=lambda: len(done) == 3, on_step=lambda *step: done.append(step))
    assert code == "training-cancelled"
    assert len(done) == 3


def test_cancelled_model_is_whole(tiny, encoded, labels):
    names = list(tiny[0].state_dict())
    with pytest.raises(TrainingFailed):
        train_local(tiny[0], encoded, labels, FAST, schedule=(0, 1), seed=SEED, should_stop=lambda: True)
    assert list(tiny[0].state_dict()) == names
    assert not tiny[0].training


def test_memory_that_does_not_suffice_is_named(train, monkeypatch):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("no row, no path")

    monkeypatch.setattr(loop._Round, "_gradients", exhausted)
    assert code_of(train) == "training-out-of-memory"


def test_no_texts(tiny, encoded):
    empty = type(encoded)(encoded.ids[:0], encoded.offsets[:1], encoded.pad_id)
    with pytest.raises(TrainingFailed, match=r"^The public set holds no text to train on; give it") as caught:
        train_local(tiny[0], empty, [], FAST, schedule=(0, 1), seed=SEED, table="public set")
    assert caught.value.code == "training-no-examples"


@pytest.mark.parametrize("bad", [[0] * 39, [2] * 40, [-1] * 40])
def test_labels_that_do_not_fit(tiny, encoded, bad):
    assert code_of(
        train_local, model=tiny[0], examples=encoded, labels=bad, config=FAST, schedule=(0, 1), seed=SEED
    ) == ("training-labels")
