"""Bringing a Prefect server to everything that a recipe needs: pools, deployments, schedules, automations."""

from pathlib import Path

from fedmodels.recipe import Recipe
from flows.following import with_local_model
from infra.deployments.declaration import Declaration, declare
from infra.deployments.services import services
from infra.settings import Schedules


def whole_declaration(recipe: Recipe, name_or_path: str, home: Path, schedules: Schedules) -> Declaration:
    """What a training needs, and what runs by itself around it.

    Args:
        recipe: what is trained.
        name_or_path: as a person named it. One that comes with fedcart is read by name wherever it runs; of
            another one the content goes along, without any path.
        home: folder for everything that fedcart writes.
        schedules: when what runs by itself runs.
    """
    needed = declare(recipe.parties)
    given = (
        recipe.name
        if name_or_path == recipe.name
        else with_local_model(recipe, home).without_paths().model_dump(mode="json")
    )
    more = services(recipe.name, given, recipe.parties, schedules)
    return Declaration(needed.pools, (*needed.deployments, *more), needed.gpu_limits)


def deploy_all(declaration: Declaration, server: str) -> None:
    """Apply it; a second time nothing changes, but for what somebody changed on the server.

    Raises:
        InputError: a schedule is none.
        StackError: a flow cannot be imported.
        PrefectAway: the server does not answer.
    """
    from infra.deployments.applying import deploy

    deploy(server, declaration)
