"""A text's embedding does not depend on what it is batched with, and differs between texts."""

import numpy as np
import pytest

from fedmodels.classifier import build_classifier
from fedmodels.recipe import ModelConfig
from fedmodels.toy_model import write_toy_model
from fedmodels.training.embed import embed_texts
from fedmodels.training.tokenized import encode_texts

TEXTS = ("a", "a much longer text about a camera", "phones", "a")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = write_toy_model(tmp_path_factory.mktemp("toy"))
    return build_classifier(folder, ModelConfig(max_length=32), ("bad", "good"), 1)


def embedded(toy, texts, batch_size=64):
    model, tokenizer = toy
    return embed_texts(model, encode_texts(tokenizer, texts, 32), batch_size)


def test_batches_decide_nothing(toy):
    together = embedded(toy, TEXTS)
    assert together.shape == (4, 16)
    assert together.dtype == np.float32
    alone = np.concatenate([embedded(toy, (text,)) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, embedded(toy, TEXTS, batch_size=2), atol=1e-5)
    np.testing.assert_allclose(together[0], together[3], atol=1e-6)
    assert np.abs(together[0] - together[2]).max() > 0.01


def test_it_is_the_mean_of_the_last_hidden_states(toy):
    model, tokenizer = toy
    encoded = tokenizer(TEXTS[1], return_tensors="pt", truncation=True, max_length=32)
    states = model.base_model(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state
    np.testing.assert_allclose(embedded(toy, TEXTS[1:2])[0], states[0].detach().numpy().mean(0), atol=1e-5)
