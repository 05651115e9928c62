"""A run that repeats an earlier one trains on the tables that the party kept of that, not on today's.

Which plan that one had, the party's own receipts say: the coordinator, who writes plans, could put another
one in its place, and have the old rows for a training that the party never took part in.
"""

from collections.abc import Iterator

from prefect import task
from pydantic import ValidationError

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.messages import Plan, Receipt, Signed
from infra.keys import public_key, verify
from infra.layout import plan_key, run_prefix
from tasks.exchange import parse, read_bytes, read_from_party
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.versions.bringing_back import BroughtBack, check_out
from tasks.party.watchdog import ended_after
from tasks.policy import LOCAL
from tasks.tagging import tagged
from validation.admission import RECEIPT_LIMIT


@task(task_run_name="bring_back_data · {session.party}", **LOCAL)
@tagged
@sealed("repeat")
@ended_after(lambda recipe: recipe.preparing_limit)
def bring_back_data(session: PartySession) -> int | None:
    """Bring back the version on which the party trained the run that this one repeats; return its number.

    `None`: the party's policy forbids it, the recipe is not the one of the plan that the party's own receipts
    of that run name, none of these is left, or the party kept no version of it, or several since its tables
    changed while it went on. Today's tables are then trained on, and what comes of it tells in which round
    the rows were others.

    Raises:
        FedcartError: as `check_out`, or of the store; the run is then trained on today's tables as well.
    """
    plan = session.joined_plan
    if plan.repeats is None or not session.policy.repeat_on_versions:
        return None
    repeated = _plan_of_then(session, plan.repeats)
    numbers = session.versions.used_by(plan.recipe.name, plan.repeats)
    if repeated is None or repeated.recipe != plan.recipe or len(numbers) != 1:
        return None
    folder = session.own_folder / "tables"
    version = check_out(session.versions, plan.recipe.name, str(numbers[0]), folder, session.tables)
    session.brought_back = BroughtBack(version, folder)
    return version.number


def _plan_of_then(session: PartySession, run: str) -> Plan | None:
    """The plan of a run in which the party took part, if it stands there as the party's receipts name it."""
    key = plan_key(run)
    data = read_bytes(session.store, key)
    if data is None or set(_plans_named(session, run)) != {sha256_hex(data)}:
        return None
    return parse(Plan, data, key)


def _plans_named(session: PartySession, run: str) -> Iterator[str]:
    """The plan's hash in each receipt of a run that the party signed with the key that it has now."""
    ours = public_key(session.signing_key)
    for key in session.store.list_keys(run_prefix(session.party, run)):
        if not key.endswith("/receipt.json"):
            continue
        signed = read_from_party(session.store, key, Signed, RECEIPT_LIMIT)
        if signed is None or not verify(ours, signed.payload.encode(), signed.signature):
            continue
        try:
            receipt = Receipt.model_validate_json(signed.payload)
        except ValidationError:  # of another version of fedcart
            continue
        if (receipt.run, receipt.party) == (run, session.party) and receipt.plan_sha256:
            yield receipt.plan_sha256
