"""What transformers and the hub client say about a model, as one sentence and without their noise."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from fedmodels.errors import FedcartError, HubAway, InputError

ANNOUNCED = "that the run announced"
"""Stands for an unpacked architecture in a message, where a party's path must not."""


@contextmanager
def plain_failures(origin: str) -> Iterator[None]:
    """Turn what the body's calls into transformers raise about a user's model into one sentence.

    Args:
        origin: the folder or hub id for the message; with `ANNOUNCED` the reason is left out too, since it
            would name the folder.

    Raises:
        InputError: in place of whatever transformers, safetensors or the hub client raised.
        HubAway: the hub does not answer, and nothing of the model was fetched before.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        with quiet():
            yield
    except FedcartError:
        raise
    except ImportError as error:
        raise InputError(
            f"The model {origin} needs a package that is not installed{_missing_package(error, origin)}",
            fix="choose a model whose tokenizer is a tokenizer.json",
            code="model-package",
        ) from None
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        SafetensorError,
        StrictDataclassError,
    ) as error:
        if _hub_is_away(error):
            raise HubAway(
                f"The model hub does not answer, and the model {origin} was not fetched before",
                fix="try again once this machine reaches it, or give a local folder as model.source",
            ) from None
        reason = "" if origin == ANNOUNCED else f": {_first_sentence(error)}"
        raise InputError(
            f"The model {origin} cannot be loaded{reason}",
            fix="give a folder or a hub id with config.json, a tokenizer and model.safetensors",
            code="model-invalid",
        ) from None


def _hub_is_away(error: BaseException) -> bool:
    """Whether the hub was asked, and did not answer, or with what passes."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, LocalEntryNotFoundError):
            return True
        if isinstance(found, HfHubHTTPError) and found.response is not None:
            return found.response.status_code in (408, 429) or found.response.status_code >= 500
        found = found.__cause__ or found.__context__
    return False


def _missing_package(error: ImportError, origin: str) -> str:
    """`: NAME`, else what transformers says of it, unless that could name a folder of a party's."""
    if error.name:
        return f": {error.name}"
    return "" if origin == ANNOUNCED else f": {_first_sentence(error)}"


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return re.split(r"\.(?: |$)", text)[0][:240]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' bars and reports while the body runs; what matters is raised."""
    from transformers.utils import logging as transformers_logging

    hub = logging.getLogger("huggingface_hub")
    level, hub_level = transformers_logging.get_verbosity(), hub.level
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        hub.setLevel(hub_level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
