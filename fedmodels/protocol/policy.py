"""Whether a party takes part in what a plan proposes, by the party's own rules.

Pure: the rules stand in the party's settings (`infra/settings.py`), the recipe in the plan.
"""

from typing import Protocol

from fedmodels.recipe import Recipe


class JoinRules(Protocol):
    """What a party requires of a recipe. `None`, and an empty tuple, require nothing."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes that it trains."""

    @property
    def use_cases(self) -> tuple[str, ...]:
        """Use cases that it trains for."""

    @property
    def max_rounds(self) -> int | None:
        """Most rounds that it trains in, passed and failed together."""

    @property
    def max_local_epochs(self) -> int | None:
        """Most passes over its rows in one round."""

    @property
    def require_clipping_norm(self) -> float | None:
        """Largest L2 norm to which its update must be clipped."""

    @property
    def allow_text_pattern(self) -> bool:
        """Whether its contract may hold a regular expression of the coordinator's."""


def policy_violations(rules: JoinRules, recipe: Recipe) -> tuple[str, ...]:
    """What of the recipe the rules forbid: a clause each, with key, value and bound; empty if nothing."""
    found: list[str] = []
    if rules.recipes and recipe.name not in rules.recipes:
        found.append(f"name is {recipe.name}, not among recipes ({', '.join(rules.recipes)})")
    if rules.use_cases and recipe.use_case not in rules.use_cases:
        found.append(f"use_case is {recipe.use_case}, not among use_cases ({', '.join(rules.use_cases)})")
    rounds = recipe.num_rounds + recipe.max_failed_rounds
    if rules.max_rounds is not None and rounds > rules.max_rounds:
        found.append(f"num_rounds + max_failed_rounds is {rounds}, above max_rounds ({rules.max_rounds})")
    epochs = recipe.local.epochs
    if rules.max_local_epochs is not None and epochs > rules.max_local_epochs:
        found.append(f"local.epochs is {epochs}, above max_local_epochs ({rules.max_local_epochs})")
    norm, largest = recipe.update.clipping_norm, rules.require_clipping_norm
    if largest is not None and (norm is None or norm > largest):
        shown = "not set" if norm is None else f"{norm:g}"
        found.append(
            f"update.clipping_norm is {shown}, at most {largest:g} is required (require_clipping_norm)"
        )
    if recipe.contract.text_pattern is not None and not rules.allow_text_pattern:
        found.append("contract.text_pattern is set, and allow_text_pattern is false")
    return tuple(found)
