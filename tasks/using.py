"""Using a model folder: label texts, score tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LONGEST = 512
"""Tokens kept of a text when the tokenizer states no limit of its own."""


def predict_texts(folder: Path, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Label and probability of each text, in order."""
    from fedmodels.classifier import load_released_model
    from fedmodels.training.evaluate import predict
    from fedmodels.training.tokenized import encode_texts

    model, tokenizer = load_released_model(folder)
    limit = min(int(tokenizer.model_max_length), LONGEST)
    found = predict(model, encode_texts(tokenizer, texts, limit))
    return [(item.label, item.probability) for item in found]


def score_folder(folder: Path, tables: Mapping[str, Path], max_length: int) -> dict[str, Any]:
    """Scores of a model folder on tables that `fedcart data prepare` wrote."""
    from fedmodels.classifier import load_released_model
    from fedmodels.data.prepared import read_prepared
    from fedmodels.training.evaluate import evaluate
    from fedmodels.training.tokenized import encode_texts

    model, tokenizer = load_released_model(folder)
    index = {label: number for number, label in model.config.id2label.items()}
    scores = {}
    for name, path in tables.items():
        rows = read_prepared(path, f"coordinator's {name}")
        encoded = encode_texts(tokenizer, rows.texts, max_length)
        metrics, _ = evaluate(model, encoded, [index[label] for label in rows.labels])
        scores[name] = metrics.model_dump()
    return scores
