"""Drift that waits for a person, and withdrawn champions, in the Prefect UI: what it is, and what to do.

Written when it begins and when it ends, not at each look, so that the artifact's own time says since when.
"""

from collections.abc import Sequence
from typing import cast

from prefect.artifacts import Artifact, create_markdown_artifact

from fedmodels.protocol.withdrawal import WithdrawalNotice, reason_of
from tasks.showing import best_effort


def show_held_up(recipe: str, run: str | None, parties: Sequence[str]) -> None:
    """Say that drift waits for an open run that nobody conducts; with `run=None` that it does no longer."""
    key = f"{recipe}-drift-held-up"

    def show() -> None:
        standing = cast("Artifact | None", Artifact.get(key))  # outside asyncio it is no coroutine
        text = held_up_markdown(recipe, run, parties) if run else free_markdown(recipe)
        if text != (standing.data if standing else free_markdown(recipe)):
            create_markdown_artifact(
                markdown=text, key=key, description=f"Whether drift of {recipe} waits for a person."
            )

    best_effort(show)


def show_withdrawn(recipe: str, release: int, touching: Sequence[WithdrawalNotice]) -> None:
    """Say that the champion learned from what was withdrawn; without notices that it did not, if it had."""
    key = f"{recipe}-withdrawn"

    def show() -> None:
        standing = cast("Artifact | None", Artifact.get(key))
        text = withdrawn_markdown(recipe, release, touching)
        if text != standing.data if standing else bool(touching):
            create_markdown_artifact(
                markdown=text, key=key, description=f"Whether the champion of {recipe} was withdrawn."
            )

    best_effort(show)


def withdrawn_markdown(recipe: str, release: int, touching: Sequence[WithdrawalNotice]) -> str:
    """That the champion is to be replaced, and by what; or that nothing is the matter."""
    if not touching:
        return f"## The champion of {recipe} learned from nothing that was withdrawn\n"
    return "\n".join(
        [
            f"## The champion of {recipe}, release {release}, is withdrawn",
            "",
            f"It learned from what is not to be used any more ({reason_of(touching)}). It stays the champion "
            "until a model that never saw that is released. The watch begins a retraining without it, or its "
            "state says what it waits for.",
            "",
            f"- See `fedcart release show {recipe} {release}` and `fedcart release list {recipe}`.",
            "- Should its gate refuse that model: release another one, or train by hand "
            f"with `fedcart train --recipe FILE`, the file of {recipe}.",
            "",
        ]
    )


def held_up_markdown(recipe: str, run: str, parties: Sequence[str]) -> str:
    """What is the matter and what to do, without a number that changes from one look to the next."""
    return "\n".join(
        [
            f"## Drift of {recipe} waits for the run {run}",
            "",
            f"{', '.join(sorted(parties))} told of drift. The run `{run}` of {recipe} is open, and the "
            "Prefect server knows of nobody who conducts it, so no retraining begins beside it.",
            "",
            f"- Go on with it: `fedcart train --resume {run}`",
            f"- Or give it up: `fedcart runs cancel {run}`",
            "",
            "Nothing is lost meanwhile: each party renews its notice while its rows go on to differ. "
            "Once the run is over, drift from the champion that stands then is told again, and starts a "
            "retraining.",
        ]
    )


def free_markdown(recipe: str) -> str:
    """What stands there when nothing waits."""
    return f"## Drift of {recipe} waits for nobody\n"
