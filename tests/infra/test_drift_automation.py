"""The automation's parameters, rendered as the server renders them."""

import json

from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate

from infra.deployments.drift_automation import (
    EVENT,
    automation,
    recipe_resource,
    retraining_parameters,
)

DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
PAYLOAD = {
    "recipe": "reviews",
    "party": "shop-a",
    "features": ["text", "it's <b>"],
    "scores": [{"effect": 0.25}],
    "notice": "parties/shop-a/drift/reviews/0.json",
}


class Event:
    """As much of an event as the templates ask for."""

    payload = PAYLOAD


def test_the_events_words_become_typed_parameters():
    context = HydrationContext(render_jinja=True, jinja_context={"event": Event()}, raise_on_error=True)
    assert hydrate(retraining_parameters(), context) == {"recipe": "reviews", "reason": PAYLOAD}


def test_each_event_about_a_recipe_runs_the_deployment():
    made = automation(DEPLOYMENT)
    document = json.loads(made.model_dump_json())
    trigger, (action,) = document["trigger"], document["actions"]
    assert (trigger["expect"], trigger["posture"], trigger["threshold"]) == ([EVENT], "Reactive", 1)
    assert trigger["match"] == {"prefect.resource.id": "fedcart.recipe.*"}
    assert recipe_resource("reviews").startswith("fedcart.recipe.")
    assert (action["type"], action["deployment_id"]) == ("run-deployment", DEPLOYMENT)
    assert action["parameters"] == retraining_parameters()
    assert automation(DEPLOYMENT) == made


def test_the_server_takes_it():
    from prefect.server.events.schemas.automations import AutomationCore

    AutomationCore.model_validate(automation(DEPLOYMENT).model_dump(mode="json"))
