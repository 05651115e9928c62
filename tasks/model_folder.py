"""The kept model as a folder that `from_pretrained` loads, made from what the bucket holds."""

from pathlib import Path

from fedmodels.protocol.messages import Plan
from infra.layout import architecture_key, model_key
from infra.object_store import ObjectStore
from infra.whole_files import whole_folder


def write_model_folder(store: ObjectStore, plan: Plan, model_sha256: str, folder: Path) -> Path:
    """Fetch architecture, tokenizer and weights into `folder`, whole or not at all.

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
        save_released_model(model, tokenizer, part)
    return folder
