"""Transformers as sequence classifiers: build one, empty one, read and write its parameters.

Code of a model's own is never run (`trust_remote_code` stays off), and weights are read as safetensors
alone, since a pickle can run code. Parameters are the floating-point entries of the state dict, sorted by
name, in fp32; integer buffers are no parameters, and weights that are tied together appear once.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmodels.errors import InputError, IntegrityError
from fedmodels.parameters.safetensors_file import encode_header
from fedmodels.parameters.stream import atomic_file
from fedmodels.plain_failures import ANNOUNCED, plain_failures, quiet
from fedmodels.protocol.messages import TensorSpec
from fedmodels.recipe import HUB_ID, ModelConfig
from fedmodels.training.seeds import derive_seed

SAVE_DTYPE = "F32"


def build_classifier(
    source: Path | str, config: ModelConfig, labels: Sequence[str], seed: int
) -> tuple[Any, Any]:
    """A classifier with one output per label, and its tokenizer.

    With `init: pretrained` the classification head is drawn from `seed`, unless the source already is a
    classifier of exactly these labels; with `init: random` all weights are.

    Args:
        source: a folder that `save_pretrained` wrote, or a hub id.
        config: the recipe's model section.
        labels: class names, at least two; the position is the class index.
        seed: decides every weight that is drawn. The caller's random state is left alone.

    Returns:
        (model, tokenizer): an fp32 transformers sequence classifier on the CPU in evaluation mode.

    Raises:
        InputError: no such folder or hub id, no tokenizer, no safetensors weights, an architecture without
            a sequence classifier, an unknown `config` key, or a `max_length` beyond the model's.
    """
    origin = _origin(source)
    with plain_failures(origin):
        architecture = _configuration(origin, config, labels)
        tokenizer = _tokenizer(origin)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("weights", seed))
            if config.init == "random":
                model = _auto_model().from_config(architecture, dtype=torch.float32, trust_remote_code=False)
            else:
                model = _pretrained(origin, architecture, labels, seed)
    _give_padding_token(model, tokenizer)
    _check_limits(model, tokenizer, config.max_length, origin)
    return model.eval(), tokenizer


def empty_classifier(folder: Path) -> Any:
    """The classifier that `folder`'s `config.json` describes, with memory but without weights.

    Nothing is drawn, which takes a fiftieth of the time. Call `read_parameters` before any use.

    Raises:
        InputError: the folder describes no sequence classifier.
    """
    from transformers import AutoConfig
    from transformers.initialization import no_init_weights

    with plain_failures(ANNOUNCED):
        architecture = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        with no_init_weights():
            model = _auto_model().from_config(architecture, dtype=torch.float32, trust_remote_code=False)
    # Tying is a part of the initialisation that was just skipped.
    model.tie_weights()
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in `folder`.

    Raises:
        InputError: there is none, or one without a vocabulary.
    """
    with plain_failures(ANNOUNCED):
        return _tokenizer(str(folder), local_files_only=True)


def parameter_specs(model: Any) -> tuple[TensorSpec, ...]:
    """Names and shapes of the parameters, sorted by name, all as F32."""
    return tuple(
        TensorSpec(name=name, dtype=SAVE_DTYPE, shape=tuple(tensor.shape))
        for name, tensor in _parameters(model).items()
    )


def write_parameters(model: Any, path: Path) -> str:
    """Write the parameters as safetensors, in the order of `parameter_specs`; return the file's SHA-256.

    Equal weights give equal bytes; the file appears whole or not at all.

    Raises:
        InputError: the disk is full (`disk-full`).
    """
    with atomic_file(path) as target:
        target.write(encode_header(parameter_specs(model)))
        for tensor in _parameters(model).values():
            target.write(tensor.float().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return target.sha256


def read_parameters(model: Any, path: Path) -> None:
    """Load parameters that `write_parameters` wrote, tensor by tensor, into `model`.

    Raises:
        IntegrityError: the file is damaged, or its names, shapes or dtype are not exactly the model's;
            the model is unchanged then.
    """
    from safetensors import SafetensorError, safe_open

    parameters = _parameters(model)
    try:
        with safe_open(path, framework="pt") as file, torch.no_grad():
            _check_schema(file, parameters)
            for name, tensor in parameters.items():
                tensor.copy_(file.get_tensor(name))
    except SafetensorError:
        raise IntegrityError(
            "The file of parameters is no safetensors file or is damaged",
            fix="fetch it again",
            code="parameters-damaged",
        ) from None


def save_architecture(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what `pack_architecture` packs: configuration and tokenizer, and no path of this machine."""
    with quiet():
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def save_released_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a folder that `AutoModelForSequenceClassification.from_pretrained(folder)` loads as it is.

    Its files may be read by whoever may read new files of this process: safetensors makes its own for the
    owner alone.
    """
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    mode = (folder / "config.json").stat().st_mode
    for path in folder.iterdir():
        path.chmod(mode)


def load_released_model(folder: Path) -> tuple[Any, Any]:
    """The classifier and tokenizer that `save_released_model` wrote.

    Raises:
        InputError: the folder holds no such model.
    """
    with quiet(), plain_failures(str(folder)):
        model = _auto_model().from_pretrained(folder, trust_remote_code=False, use_safetensors=True)
    return model, load_tokenizer(folder)


def _auto_model() -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification


def _origin(source: Path | str) -> str:
    if isinstance(source, str):
        if re.fullmatch(HUB_ID, source):
            return source
        raise InputError(
            f"The model {source!r} is neither a folder nor a hub id",
            fix="correct model.source",
            code="model-missing",
        )
    if not (source / "config.json").is_file():
        raise InputError(
            f"The model folder {source} {'has no config.json' if source.is_dir() else 'does not exist'}",
            fix="correct model.source",
            code="model-missing",
        )
    return str(source)


def _tokenizer(origin: str, **options: Any) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(origin, trust_remote_code=False, **options)
    # Without a vocabulary file transformers builds a tokenizer that knows its special tokens alone.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise _unusable(origin, "has no tokenizer")
    return tokenizer


def _configuration(origin: str, config: ModelConfig, labels: Sequence[str]) -> Any:
    from transformers import AutoConfig

    known = AutoConfig.from_pretrained(origin, trust_remote_code=False)
    if unknown := sorted(key for key in config.config if not hasattr(known, key)):
        raise InputError(
            f"The architecture {known.model_type} has no {', '.join(unknown)}",
            fix="correct model.config",
            code="model-config",
        )
    names = dict(enumerate(labels))
    return AutoConfig.from_pretrained(
        origin,
        trust_remote_code=False,
        **config.config,
        num_labels=len(labels),
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )


def _pretrained(origin: str, architecture: Any, labels: Sequence[str], seed: int) -> Any:
    from transformers import AutoConfig

    # Otherwise transformers asks a service on the internet to convert a hub model without safetensors.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    stored = AutoConfig.from_pretrained(origin, trust_remote_code=False)
    model = _auto_model().from_pretrained(
        origin,
        config=architecture,
        dtype=torch.float32,
        use_safetensors=True,
        ignore_mismatched_sizes=True,
        trust_remote_code=False,
    )
    is_same_task = [stored.id2label.get(index) for index in range(stored.num_labels)] == list(labels)
    if not is_same_task:
        _draw_head(model, seed)
    return model


def _draw_head(model: Any, seed: int) -> None:
    """Draw every layer outside the base model: weights from N(0, initializer_range²), biases 0."""
    generator = torch.Generator().manual_seed(derive_seed("head", seed))
    deviation = float(getattr(model.config, "initializer_range", 0.02))
    inside = set(model.base_model.modules())
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear) and module not in inside:
                module.weight.normal_(0.0, deviation, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


def _give_padding_token(model: Any, tokenizer: Any) -> None:
    """Models for text generation pad with their end token; a batch needs one, and the model must know it."""
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def _check_limits(model: Any, tokenizer: Any, max_length: int, origin: str) -> None:
    if tokenizer.pad_token_id is None:
        raise _unusable(origin, "has a tokenizer without padding and end tokens")
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise _unusable(origin, f"has a tokenizer of {len(tokenizer)} tokens and embeddings for only {rows}")
    positions = getattr(model.config, "max_position_embeddings", None) or max_length
    longest = min(tokenizer.model_max_length, positions)
    if max_length > longest:
        raise InputError(
            f"model.max_length is {max_length}, more than the {longest} tokens that the model takes",
            fix="lower model.max_length",
            code="model-max-length",
        )


def _parameters(model: Any) -> dict[str, torch.Tensor]:
    """The parameters themselves by name, sorted; of tied weights the first name."""
    found: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):
        if tensor.is_floating_point() and id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor.detach()
    return found


def _check_schema(file: Any, parameters: dict[str, torch.Tensor]) -> None:
    names = set(file.keys())
    different = sorted(names ^ parameters.keys())
    for name in sorted(names & parameters.keys()):
        stored = file.get_slice(name)
        if stored.get_dtype() != SAVE_DTYPE or tuple(stored.get_shape()) != tuple(parameters[name].shape):
            different.append(name)
    if different:
        raise IntegrityError(
            f"The parameters differ from the model in {len(different)} of {len(parameters)} tensors, "
            f"the first {different[0][:60]!r}",
            fix="use the model that the plan describes",
            code="parameters-schema",
        )


def _unusable(origin: str, what: str) -> InputError:
    return InputError(f"The model {origin} {what}", fix="choose another model.source", code="model-invalid")
