"""Using a model folder: label texts, score tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmodels.errors import InputError
from fedmodels.protocol.messages import PinnedSet


def predict_texts(folder: Path, texts: Sequence[str]) -> list[tuple[str, float] | None]:
    """Label and probability of each text, in order; `None` of one of which cleaning leaves nothing.

    Texts are cleaned, and cut to the `max_length` of the run, as those were that trained the model; the
    folder's tokenizer states that length.
    """
    from fedmodels.classifier import load_released_model
    from fedmodels.data.cleaning import clean_text
    from fedmodels.training.evaluate import predict
    from fedmodels.training.tokenized import encode_texts

    model, tokenizer = load_released_model(folder)
    cleaned = [clean_text(text)[0] for text in texts]
    encoded = encode_texts(tokenizer, [text for text in cleaned if text], tokenizer.model_max_length)
    found = ((item.label, item.probability) for item in predict(model, encoded))
    return [next(found) if text else None for text in cleaned]


def score_folder(
    folder: Path, tables: Mapping[str, Path], max_length: int, pinned: Mapping[str, PinnedSet] | None
) -> dict[str, Any]:
    """Scores of a model folder on tables that `fedcart data prepare` wrote.

    `same_rows` says of each whether it holds what the plan pins: `None` when that pins nothing.

    Raises:
        InputError: a table has a label that the model does not know (`labels-unknown`).
    """
    from fedmodels.classifier import load_released_model
    from fedmodels.data.pinned import changed_sets
    from fedmodels.data.prepared import read_prepared
    from fedmodels.data.rows import class_indices
    from fedmodels.training.evaluate import evaluate
    from fedmodels.training.tokenized import encode_texts

    model, tokenizer = load_released_model(folder)
    index = {label: number for number, label in model.config.id2label.items()}
    scores = {}
    for name, path in tables.items():
        rows = read_prepared(path, f"coordinator's {name}")
        targets = class_indices(rows, index, f"coordinator's {name} set", InputError)
        metrics, _ = evaluate(model, encode_texts(tokenizer, rows.texts, max_length), targets)
        same = None if pinned is None else not changed_sets(pinned, {name: rows})
        scores[name] = {**metrics.model_dump(), "same_rows": same}
    return scores
