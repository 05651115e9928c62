"""Drift that starts a training: an automation of the server's runs the retraining flow for each event.

The coordinator's watch emits the event for a notice that a party signed (`tasks/retraining`). Whether a
training begins is decided by the flow, which holds the event against the bucket: whoever holds the server's
login can emit any event.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

EVENT = "fedcart.drift.detected"
AUTOMATION = "fedcart-drift-retraining"
RECIPE_RESOURCE = "fedcart.recipe."


def recipe_resource(recipe: str) -> str:
    """Id of the resource that events about a recipe concern."""
    return f"{RECIPE_RESOURCE}{recipe}"


def trigger() -> dict[str, Any]:
    """For each event about a recipe, one run of the retraining, with its words as the reason.

    Word for word what `prefect.yaml` has below `triggers` of the deployment `retraining/coordinator`.
    """
    return {
        "name": AUTOMATION,
        "description": "Asks for a retraining when a party tells of drift; the flow decides if it begins.",
        "expect": [EVENT],
        "match": {"prefect.resource.id": f"{RECIPE_RESOURCE}*"},
        "posture": "Reactive",
        "threshold": 1,
        "parameters": retraining_parameters(),
    }


def automation(deployment_id: UUID | str) -> "AutomationCore":
    """What `prefect deploy` makes of the trigger: the deployment owns it, so that of two tools none adds one.

    `prefect deploy` drops what its deployment owns and makes it anew; `fedcart deploy` finds it by its name.

    Args:
        deployment_id: of the deployment `retraining/coordinator`.
    """
    from prefect.events import DeploymentEventTrigger

    made = DeploymentEventTrigger.model_validate(trigger())
    made.set_deployment_id(UUID(str(deployment_id)))
    return made.as_automation()


def retraining_parameters() -> dict[str, Any]:
    """Parameters of the retraining flow, taken from the event; typed, so as JSON and not as text."""
    return {"recipe": _from_event("event.payload.recipe"), "reason": _from_event("event.payload")}


def _from_event(expression: str) -> dict[str, Any]:
    template = {"__prefect_kind": "jinja", "template": f"{{{{ {expression} | tojson }}}}"}
    return {"__prefect_kind": "json", "value": template}
