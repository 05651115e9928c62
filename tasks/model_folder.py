"""The kept model as a folder that `from_pretrained` loads, made from what the bucket holds."""

import json
from pathlib import Path

from fedmodels.protocol.messages import Plan
from infra.layout import architecture_key, model_key
from infra.object_store import ObjectStore
from infra.whole_files import whole_folder

FACTS = "fedcart.json"
"""File of the folder that says which model it holds, whatever the run. A folder without it was written before
the tokenizer stated the run's `max_length`."""


def write_model_folder(store: ObjectStore, plan: Plan, model_sha256: str, folder: Path) -> Path:
    """Fetch architecture, tokenizer and weights into `folder`, whole or not at all.

    The tokenizer there cuts texts at the run's `max_length`: the model has seen no longer ones.

    Raises:
        InputError: the disk is full.
        IntegrityError: a blob is missing or damaged.
    """
    from fedmodels.architecture import unpack_architecture
    from fedmodels.classifier import empty_classifier, load_tokenizer, read_parameters, save_released_model

    with whole_folder(folder) as part:
        archive = store.read_blob(architecture_key(plan.architecture_sha256), plan.architecture_sha256)
        unpack_architecture(archive, part)
        model, tokenizer = empty_classifier(part), load_tokenizer(part)
        weights = part / "weights.safetensors"
        store.download(model_key(model_sha256), weights, model_sha256)
        read_parameters(model, weights)
        weights.unlink()
        max_length = plan.recipe.model.max_length
        tokenizer.model_max_length = max_length
        facts = {"model_sha256": model_sha256, "max_length": max_length}
        (part / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        save_released_model(model, tokenizer, part)
    return folder
