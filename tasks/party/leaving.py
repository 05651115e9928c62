"""That a party has left a recipe, as its own folder knows it. No Prefect.

withdrawn/RECIPE.left    the party has left the recipe: its sessions join no run of it
withdrawn/RECIPE.told    the last notice that it left which this folder knows of
"""

from pathlib import Path

from fedmodels.errors import PolicyForbids
from infra.private_files import read_json, write_json, write_private
from tasks.party.withdrawn import make_withdrawn_folder, withdrawn_folder


def leave(workspace: Path, recipe: str) -> None:
    """Let no later session of the party join a run of the recipe."""
    make_withdrawn_folder(workspace)
    write_private(_left(workspace, recipe), b"")


def note_leaving(workspace: Path, recipe: str, number: int) -> None:
    """Remember the notice that says that the party left.

    Without its `RECIPE.left` such a notice is then one after which a person let the party come back.
    """
    write_json(_told(workspace, recipe), {"left": max(number, noted_leaving(workspace, recipe))})


def noted_leaving(workspace: Path, recipe: str) -> int:
    """Number of the last notice that the party left which this folder knows of; 0: of none."""
    noted = (read_json(_told(workspace, recipe)) or {}).get("left")
    return noted if isinstance(noted, int) else 0


def has_left(workspace: Path, recipe: str) -> bool:
    """Whether the party has left the recipe."""
    return _left(workspace, recipe).exists()


def refuse_left(workspace: Path, recipe: str, party: str) -> None:
    """Keep a session of a party that has left out of a run.

    Raises:
        PolicyForbids: `party-left`.
    """
    if has_left(workspace, recipe):
        raise PolicyForbids(
            f"Party {party} has left the recipe {recipe}",
            fix=f"remove withdrawn/{recipe}.left in the party's own folder to come back",
            code="party-left",
        )


def _left(workspace: Path, recipe: str) -> Path:
    return withdrawn_folder(workspace) / f"{recipe}.left"


def _told(workspace: Path, recipe: str) -> Path:
    return withdrawn_folder(workspace) / f"{recipe}.told"
