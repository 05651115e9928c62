"""Building the model that a process keeps in memory for all rounds, at a party as at the coordinator."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.protocol.messages import Plan
from infra.layout import architecture_key
from infra.object_store import ObjectStore
from tasks.environment import this_environment

if TYPE_CHECKING:
    from fedmodels.training.kept_logits import KeptLogits
    from fedmodels.workbench import Workbench


def open_workbench(
    store: ObjectStore, plan: Plan, cache: Path, threads: int, *, keeps_scores: bool = False
) -> "Workbench":
    """Fetch the plan's architecture and tokenizer, and build its model, without weights.

    Args:
        store: the bucket, with the role's own credentials.
        plan: the plan of the run.
        cache: the role's own folder for what outlives a run.
        threads: torch threads of this process.
        keeps_scores: keep what models say of tables, and take what the same code said before: of the
            coordinator's own sets, which score a kept model in its round, at its release, and when the next
            one is held against it.

    Raises:
        IntegrityError: the architecture is missing, or is not what its hash says.
    """
    from fedmodels.workbench import Workbench

    sha256 = plan.architecture_sha256
    return Workbench.from_architecture(
        store.read_blob(architecture_key(sha256), sha256),
        cache / "architectures" / sha256,
        labels=plan.labels,
        max_length=plan.recipe.model.max_length,
        parameters=plan.parameters,
        cache=cache / "tokens",
        threads=threads,
        kept=_kept_logits(cache, plan, threads) if keeps_scores else None,
    )


def _kept_logits(cache: Path, plan: Plan, threads: int) -> "KeptLogits | None":
    """The coordinator's; none where no commit tells with which code they were computed."""
    from fedmodels.training.kept_logits import KeptLogits

    here = this_environment(threads)
    if here.modified or not here.code:
        return None
    means = [plan.architecture_sha256, plan.recipe.model.max_length, len(plan.labels), here.model_dump()]
    return KeptLogits(cache / "logits", json.dumps(means, sort_keys=True))
