"""The kept model of a run as a folder on this machine."""

import shutil
from pathlib import Path

from fedmodels.errors import InputError
from fedmodels.identifiers import check_identifier
from fedmodels.protocol.messages import Closed
from flows.open_store import open_store
from infra.layout import closed_key
from infra.locations import kept_model_folder
from infra.whole_files import check_folder_target, whole_folder
from tasks.exchange import read_message
from tasks.model_folder import FACTS, write_model_folder
from tasks.reading import read_plan
from tasks.release.pruned import refuse_pruned


def model_folder(home: Path, run: str) -> Path:
    """The kept model's folder; made from the bucket when it is not there, or is one of an older form.

    Raises:
        InputError: there is no such run, or it kept no model yet.
        RunConflict: `pruned`.
    """
    folder = kept_model_folder(home, check_identifier("run", run))
    if all((folder / name).exists() for name in ("model.safetensors", FACTS)):
        return folder
    with open_store(home) as store:
        plan = read_plan(store, run)
        closed = read_message(store, closed_key(run), Closed)
        if closed is None or closed.final is None:
            raise InputError(
                f"The run {run} has kept no model" + (" yet" if closed is None else ""),
                fix=f"see fedcart runs show {run}",
                code="model-missing",
            )
        refuse_pruned(store, run, closed.model_sha256)
        return write_model_folder(store, plan, closed.model_sha256, folder)


def check_model_target(target: Path) -> None:
    """See that `copy_model` could write to `target`.

    Raises:
        InputError: something else than a model stands there (`folder-taken`), or it cannot be made
            (`target-unusable`).
    """
    check_folder_target(target, ("config.json", "model.safetensors"), "model")


def copy_model(home: Path, run: str, target: Path) -> None:
    """Copy the kept model's folder to `target`, replacing a model folder that stands there.

    Raises:
        InputError: as `check_model_target`; or the run kept no model.
    """
    source = model_folder(home, run)
    check_model_target(target)
    with whole_folder(target) as part:
        shutil.copytree(source, part, dirs_exist_ok=True)
