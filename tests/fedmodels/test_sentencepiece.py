"""Models whose tokenizer comes only as SentencePiece, and one that needs a package which is not there."""

import json
import random

import pytest
import sentencepiece
import torch

from fedmodels.architecture import pack_architecture, unpack_architecture
from fedmodels.classifier import build_classifier, load_tokenizer, save_architecture
from fedmodels.errors import InputError
from fedmodels.plain_failures import ANNOUNCED, plain_failures
from fedmodels.recipe import ModelConfig
from tests.fedmodels.conftest import WORDS

PIECES = 45
TEXT = "the camera is very good"
SPECIAL = {
    "spiece.model": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "user_defined_symbols": "[CLS],[SEP]",
    },
    "sentencepiece.bpe.model": {"unk_id": 0, "bos_id": 1, "eos_id": 2},
    "spm.model": {
        "pad_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "unk_id": 3,
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
    },
}
"""Special pieces as the tokenizers expect them whose models bring a file of this name."""
MODELS = {"spiece.model": "Albert", "sentencepiece.bpe.model": "XLMRoberta", "spm.model": "DebertaV2"}


def write_model(folder, file):
    """A tiny model of the kind that brings such a file, and the SentencePiece model in it."""
    import transformers

    draw = random.Random(0)
    sentences = (" ".join(draw.choices(WORDS, k=6)) for _ in range(300))
    with (folder / file).open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=stream,
            vocab_size=PIECES,
            minloglevel=2,
            **SPECIAL[file],
        )
    shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 1}
    config = getattr(transformers, f"{MODELS[file]}Config")(**shape, vocab_size=PIECES + 5, embedding_size=16)
    with torch.random.fork_rng():
        getattr(transformers, f"{MODELS[file]}Model")(config).save_pretrained(folder)
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / file))


@pytest.mark.parametrize("file", SPECIAL)
def test_a_tokenizer_that_is_sentencepiece_alone_is_used_and_travels(tmp_path, file):
    pieces = write_model(tmp_path, file)
    model, tokenizer = build_classifier(tmp_path, ModelConfig(max_length=32), ("bad", "good"), seed=1)
    assert tokenizer.tokenize(TEXT) == pieces.encode(TEXT, out_type=str)
    save_architecture(model, tokenizer, tmp_path / "a")
    unpack_architecture(pack_architecture(tmp_path / "a"), tmp_path / "b")
    assert load_tokenizer(tmp_path / "b")(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]


def test_a_package_that_is_missing_is_named(tiny_folder, tmp_path):
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tokenizer.json").unlink()
    said = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    with pytest.raises(
        InputError, match=r"needs a package that is not installed: .*fugashi.*; choose"
    ) as caught:
        build_classifier(tmp_path, ModelConfig(max_length=16), ("bad", "good"), seed=1)
    assert caught.value.code == "model-package"
    assert "\n" not in str(caught.value)


def test_what_an_import_says_of_a_party_is_its_package_alone():
    fault = "The model that the run announced needs a package that is not installed; choose"
    with pytest.raises(InputError, match=fault), plain_failures(ANNOUNCED):
        raise ImportError("cannot import it from /confidential/place")
    with pytest.raises(InputError, match="is not installed: fugashi; choose"), plain_failures(ANNOUNCED):
        raise ModuleNotFoundError("No module named 'fugashi'", name="fugashi")
