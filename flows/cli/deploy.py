"""`fedcart deploy`: pools, deployments and schedules of a recipe, on any Prefect server."""

from typing import Annotated

import typer

from flows.cli.output import JsonFlag, RecipeOption, print_json, print_table

SCHEDULE = "schedule (UTC)"
COLUMNS = (("deployment", "left"), (SCHEDULE, "left"), ("pool", "left"))


def deploy(
    recipe: RecipeOption = "reviews",
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of the Prefect API, like http://prefect:4200/api (the local one)."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring a Prefect server to all that a recipe needs, schedules included; harmless to repeat.

    A training every night, a look for models to release, each party's drift check, the watch over the
    parties' notices, the retraining that drift starts, and housekeeping for each role. When, say the
    settings: `[schedules]` in fedcart.toml, or `FEDCART_SCHEDULES__TRAINING` and so on, as cron expressions
    in UTC, or `off`. The workers are those of `fedcart up`, or of whoever runs each pool.
    """
    from flows.deploying import deploy_all, whole_declaration
    from flows.following import api_url
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    settings = load_settings()
    declaration = whole_declaration(load_recipe(recipe), recipe, settings.home, settings.schedules)
    where = server or api_url(settings.home)
    deploy_all(declaration, where)
    if as_json:
        rows = [
            {
                "name": f"{d.flow}/{d.name}",
                "pool": d.pool,
                "entrypoint": d.entrypoint,
                "schedule": d.schedule,
                "at_once": d.at_once,
            }
            for d in declaration.deployments
        ]
        print_json({"server": where, "deployments": rows})
        return
    cells = [(f"{d.flow}/{d.name}", d.schedule, d.pool) for d in declaration.deployments]
    print_table(f"Deployed to {where}", COLUMNS, cells, whole=[SCHEDULE])
