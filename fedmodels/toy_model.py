"""A model folder of any small size, made on the spot: for tests and for measuring everything but training.

Its tokenizer knows single characters, so that it needs no vocabulary file and takes any Latin text.
"""

import string
from pathlib import Path

from fedmodels.plain_failures import quiet

CHARACTERS = " " + string.ascii_lowercase + string.digits + string.punctuation
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_toy_model(folder: Path, *, hidden_size: int = 16, layers: int = 1, vocabulary: int = 0) -> Path:
    """Write configuration, tokenizer and random weights of a small BERT; return the folder.

    Args:
        folder: where to write; made when it is missing.
        hidden_size: width of the model, a multiple of 2.
        layers: number of transformer layers.
        vocabulary: rows of the embedding, at least one a character; more of them only make it larger.
    """
    import torch
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    names = (*SPECIAL, *CHARACTERS)
    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=max(vocabulary, len(names)),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        fast.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder
