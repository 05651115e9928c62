"""What a seed stands for: a recipe, parties with their habits, and what goes wrong around them."""

import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Plan, TensorSpec
from fedmodels.recipe import Recipe
from tests.simulation.requests import Faults

RUN = "run"
BASE = "0" * 64
HABITS = (
    *("honest", "honest", "honest", "honest", "slow", "slow"),
    *("dying", "silent", "twin", "replaying", "poisoned", "pushing", "rewriting", "refusing", "lying"),
    "declining",
)
ROUND_TIMEOUT, GRACE, EVALUATION_TIMEOUT = 30.0, 5.0, 20.0


@dataclass(frozen=True)
class Scenario:
    """A seed's world."""

    plan: Plan
    plan_sha256: str
    habits: dict[str, str]
    faults: Faults
    second_coordinators: tuple[float, ...]
    """When somebody resumes the run though its coordinator may be alive."""
    cancelled_at: float | None
    gate_refuses: float
    """Probability that a candidate does not pass."""


def draw(seed: int, randomly: random.Random) -> Scenario:
    """The scenario of a seed; one in five has no fault at all."""
    count = randomly.randint(2, 5)
    names = tuple("abcde"[:count])
    recipe = _recipe(
        names,
        num_rounds=randomly.choice((1, 2, 2, 3, 4)),
        max_failed_rounds=randomly.randint(0, 2),
        min_available_parties=randomly.choice((1, 1, 2, max(1, count - 1), count)),
        fraction_train=randomly.choice((1.0, 1.0, 0.6)),
        evaluate=randomly.random() < 0.3,
        exponent=randomly.choice((None, 0.0, 0.5, 1.0)),
        weighting=randomly.choice(("examples", "equal")),
        after_refusal=randomly.choice(("retry", "retry", "drop", "stop")),
    )
    calm = randomly.random() < 0.2
    often = 0.0 if calm else randomly.choice((0.01, 0.03, 0.08))
    faults = Faults(
        quiet=0.0 if calm else randomly.uniform(5, 90),
        busy=often,
        lost_request=often / 2,
        lost_answer=often,
        late_copy=often / 2,
        slow=often,
        damaged=often,
        rotten=0.0 if calm else randomly.choice((0.0, 0.0, 0.05)),
        crash=0.0 if calm else randomly.choice((0.0, 0.01, 0.03, 0.06)),
    )
    races = 0 if calm else randomly.choice((0, 0, 0, 1, 2))
    moment = randomly.uniform(0, 60)
    plan = _plan(recipe)
    drawn = Scenario(
        plan=plan,
        plan_sha256=sha256_hex(canonical_json(plan)),
        habits={name: randomly.choice(HABITS) for name in names},
        faults=faults,
        second_coordinators=tuple(moment + randomly.choice((0.0, 0.05, 10.0)) for _ in range(races)),
        cancelled_at=randomly.uniform(1, 80) if randomly.random() < 0.1 else None,
        gate_refuses=randomly.choice((0.0, 0.0, 0.3)),
    )
    faults.decaying = 0.0 if calm else randomly.choice((0.0, 0.0, 0.1))
    return drawn


@lru_cache(maxsize=4096)
def _recipe(
    names: tuple[str, ...],
    *,
    evaluate: bool,
    exponent: float | None,
    after_refusal: str,
    **knobs: float | str,
) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "simulated",
            "data": {
                "parties": {name: {"train": "own"} for name in names},
                "coordinator": {"table": "own"},
            },
            "round_timeout": ROUND_TIMEOUT,
            "grace": GRACE,
            "evaluation_timeout": EVALUATION_TIMEOUT,
            "evaluate_at_parties": evaluate,
            "salvage": None if exponent is None else {"exponent": exponent},
            "gate": {"after_refusal": after_refusal},
            **knobs,
        }
    )


def _plan(recipe: Recipe) -> Plan:
    return Plan(
        run=RUN,
        recipe=recipe,
        parties={name: f"key of {name}" for name in recipe.parties},
        labels=("0", "1"),
        parameters=(TensorSpec(name="w", dtype="F32", shape=(1,)),),
        architecture_sha256=BASE,
        base_model_sha256=BASE,
        fedcart_version="0",
    )


def sign(public: str, payload: bytes) -> str:
    """Stands for a signature: nobody but the key's owner makes one here."""
    return hashlib.sha256(public.encode() + payload).hexdigest()


def verify(public: str, payload: bytes, signature: str) -> bool:
    """Whether `sign` made it."""
    return signature == sign(public, payload)
