"""A word on a release from the command line, passed on to the flow run that is suspended for it.

The bucket has the word already, and decides. Without this the flow run would wait in Prefect's page for an
answer that nobody can give any more, and be shown as failed at its deadline.
"""

from fedmodels.errors import FedcartError
from infra.deployments.answered import resume_answered
from infra.deployments.starting import server_answers
from infra.local.plan import read_stack
from infra.object_store import ObjectStore
from infra.settings import Settings
from tasks.release.desk import form_key
from tasks.release.reading import find_report, read_request
from tasks.release.taking import tickets


def pass_on(store: ObjectStore, recipe: str, release: int, settings: Settings) -> str:
    """Let the flow run that waits for a release go on, if the release has its word.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        release: its number.
        settings: of this process; they name the local stack. Without one, Prefect's own settings do.

    Returns:
        Why nobody could be asked to go on, in a sentence; empty when the flow run goes on, or none waits.
    """
    found = find_report(store, recipe, release)
    if found is None or found.approval is None:
        return ""
    stack, word = read_stack(settings.home), found.approval
    server = stack.api_url if stack else None
    left = "a flow run that is suspended for it waits until its deadline, and the bucket says what happened"
    if not server_answers(server):
        return f"The Prefect server does not answer: {left}." if stack else ""
    form = {"decision": word.decision, "by": word.by, "comment": word.comment}
    asks = tickets(store, read_request(store, recipe, release))[-1]
    try:
        resume_answered(asks, form_key(release), form, api_url=server)
    except FedcartError as error:
        return f"{error.sentence}: {left}."
    return ""
