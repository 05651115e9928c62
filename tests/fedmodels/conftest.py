"""A tiny BERT with a real tokenizer, in a folder as `save_pretrained` writes it."""

from pathlib import Path

import pytest

WORDS = (
    *("the", "camera", "screen", "battery", "player", "phone", "is", "was", "not", "very", "good"),
    *("bad", "great", "poor", "broken", "works", "fails", "love", "hate", "it", "a", "and"),
)
POSITIVE = (
    "the camera is very good",
    "love the screen",
    "great battery and it works",
    "the phone is good",
    "a great player",
)
NEGATIVE = (
    "the camera is not good",
    "hate the screen",
    "poor battery and it fails",
    "the phone was broken",
    "a bad player",
)
TEXTS = (*POSITIVE, *NEGATIVE) * 4
LABELS = ([1] * len(POSITIVE) + [0] * len(NEGATIVE)) * 4


def write_tokenizer(folder: Path) -> None:
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)


def write_tiny_bert(folder: Path, seed: int = 0, **changes: float) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    shape = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        # Wide enough for so few units that texts differ in more than rounding.
        "initializer_range": 0.2,
    }
    write_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(BertConfig(**(shape | changes))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Weights, configuration and tokenizer of a BERT with 16 hidden units, without a classification head."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture
def tiny(tiny_folder):
    """A fresh (model, tokenizer) of two classes."""
    from fedmodels.classifier import build_classifier
    from fedmodels.recipe import ModelConfig

    return build_classifier(tiny_folder, ModelConfig(max_length=16), ("negative", "positive"), seed=1)


@pytest.fixture
def encoded(tiny):
    """The texts as token ids, 6 to 8 each."""
    from fedmodels.training.tokenized import encode_texts

    return encode_texts(tiny[1], TEXTS, 16)


@pytest.fixture(scope="session")
def texts():
    """40 short texts; ten different ones."""
    return TEXTS


@pytest.fixture
def labels():
    """Their classes: 1 is positive."""
    return list(LABELS)
