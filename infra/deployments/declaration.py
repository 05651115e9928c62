"""Which work pools and deployments a training needs, said once.

`fedcart up` follows this declaration; `fedcart deploy` and `prefect.yaml` (a test compares them) do, and add
what runs by a schedule (`services.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fedmodels.errors import InputError
from fedmodels.identifiers import COORDINATOR as COORDINATOR
from fedmodels.identifiers import check_identifier

TRAINING_FLOW = "federated-training"
SESSION_FLOW = "party-session"
TRAINING_ENTRYPOINT = "flows.federated_training.federated_training"
SESSION_ENTRYPOINT = "flows.party_session.party_session"

RUNS_AT_ONCE = 8
"""Of one role: what its pool lets through, and its worker takes."""
WAITS = (
    "It has no concurrency limit of its own: further ones wait for their pool, and a run that holds a limit "
    "is ended when the Prefect server is away for minutes."
)
"""Of runs that have to outlive their Prefect server."""
_OF = " · "


@dataclass(frozen=True)
class Pool:
    """One role's work pool. Its template leaves nothing to whoever creates a run."""

    name: str
    description: str
    concurrency_limit: int = RUNS_AT_ONCE


@dataclass(frozen=True)
class Deployment:
    """A flow that a role's worker runs, found by a module path on that worker's machine.

    `schedule` is a cron expression in UTC; `at_once` how many of its runs there may be. A further one is
    cancelled when it is due, or waits: `above` says which. Whoever suspends has to wait: when it goes on it
    takes a slot again.
    """

    flow: str
    name: str
    entrypoint: str
    pool: str
    description: str
    tags: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    at_once: int | None = None
    above: Literal["CANCEL_NEW", "ENQUEUE"] = "CANCEL_NEW"


@dataclass(frozen=True)
class Declaration:
    """Everything that is applied to a Prefect server. `gpu_limits` hold one slot each."""

    pools: tuple[Pool, ...]
    deployments: tuple[Deployment, ...]
    gpu_limits: tuple[str, ...]


def declare(
    parties: tuple[str, ...],
    *,
    training_entrypoint: str = TRAINING_ENTRYPOINT,
    session_entrypoint: str = SESSION_ENTRYPOINT,
) -> Declaration:
    """The declaration for a coordinator and its parties.

    Raises:
        InputError: a party's name is no id, or that of the coordinator.
    """
    parties = tuple(sorted({check_party(party) for party in parties}))
    training = Deployment(
        TRAINING_FLOW,
        COORDINATOR,
        training_entrypoint,
        pool_name(COORDINATOR),
        "Conducts a training: announces rounds, aggregates what the parties submit, and lets HEAD move only "
        f"through the gate. {WAITS}",
        ("fedcart", COORDINATOR),
    )
    sessions = tuple(
        Deployment(
            SESSION_FLOW,
            party,
            session_entrypoint,
            pool_name(party),
            f"Takes part in a run for {party}: started once, trains in every round on the party's own data. "
            f"{WAITS}",
            ("fedcart", f"party:{party}"),
        )
        for party in parties
    )
    pools = tuple(
        Pool(pool_name(role), f"Runs what {'the coordinator' if role == COORDINATOR else role} takes part in")
        for role in (COORDINATOR, *parties)
    )
    return Declaration(pools, (training, *sessions), tuple(map(gpu_limit, parties)))


def training_name(run: str) -> str:
    """Name of the coordinator's flow runs of a training: by it they are found again."""
    return f"{TRAINING_FLOW}{_OF}{run}"


def training_called(name: str) -> str | None:
    """The training whose coordinator's flow run has this name; `None` for a name of another kind."""
    flow, separator, run = name.partition(_OF)
    return run if separator and flow == TRAINING_FLOW else None


def pool_name(role: str) -> str:
    """The role's work pool."""
    return f"fedcart-{role}"


def gpu_limit(party: str) -> str:
    """The global concurrency limit of one slot that guards the party's GPU while it trains."""
    return f"fedcart-gpu-{party}"


def check_party(party: str) -> str:
    """Return `party` when a party may be called so.

    Raises:
        InputError: it is no id, or the coordinator's name.
    """
    if party == COORDINATOR:
        raise InputError(
            f"A party is called {COORDINATOR!r}, which is the other role's name",
            fix="choose another name for the party",
            code="id-invalid",
        )
    return check_identifier("party", party)


def locked_template() -> dict[str, Any]:
    """The base job template of every pool: all of it constant, and no variable left to override.

    `python` is the first one on the worker's path. `-P` keeps the working folder, a fresh temporary
    one, out of the module search. With a command given, the worker starts the run directly; without
    one it would first import all of Prefect in a process that only prepares a workspace.
    """
    return {
        "job_configuration": {
            "command": "python -P -m infra.deployments.start_run",
            "env": {},
            "labels": {},
            "name": None,
            "stream_output": True,
            "working_dir": None,
        },
        "variables": {"type": "object", "properties": {}, "additionalProperties": False},
    }
