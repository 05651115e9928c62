"""A session keeps the version of the tables that it is about to train on, and pushes it while it trains.

What keeps it from that costs no round: the version is what the party has later, and the round is now.
"""

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.data.versions import PinnedVersion
from fedmodels.identifiers import is_printable_name
from fedmodels.protocol.messages import PinnedData
from infra.settings import PartyPolicy
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.versions.pinning import pin_tables
from tasks.party.versions.pushing import Pushing
from tasks.party.watchdog import ended_after
from tasks.policy import LOCAL
from tasks.tagging import tagged

PUSH_PATIENCE_S = 60.0
"""A session that has nothing left to do waits so long for its push; the next pin goes on with it."""
_MOST_COLUMNS = 200


@task(task_run_name="pin_version · {session.party}", **LOCAL)
@tagged
@sealed("pin")
@ended_after(lambda recipe: recipe.preparing_limit)
def pin_version(session: PartySession) -> int | None:
    """Keep a version of the tables that the prepared rows come from, unless the newest is the same.

    Nothing is kept of rows that are refused, or where the policy says so. Returns its number.

    Raises:
        FedcartError: as `pin_tables`; the round goes on without a version.
    """
    session.pinned = None
    recipe = session.joined_plan.recipe
    if session.prepared is None or not session.policy.pin_data:
        return None
    if session.brought_back is not None:
        session.pinned = session.brought_back.version
        session.versions.note_use(session.pinned, session.run)
        return session.pinned.number
    version = pin_tables(session.versions, recipe, session.tables, session.run, push=False).version
    if session.fingerprint == session.table_fingerprint():  # else the rows come from other tables
        session.pinned = version
    session.pushing = Pushing(session.versions, recipe.name)
    return version.number


def await_push(session: PartySession) -> None:
    """Before the session leaves: let its push come to an end, and say so where it did not."""
    if session.pushing is not None and (told := session.pushing.outcome(PUSH_PATIENCE_S)):
        get_run_logger().warning("Data versions are kept here and not all pushed: %s", told)


def told_version(version: PinnedVersion | None, policy: PartyPolicy) -> PinnedData | None:
    """What a receipt says of the version, by the party's policy."""
    told = policy.tell_data_version
    if version is None or not told:
        return None
    columns = version.tables["train"].columns if "schema" in told else ()
    return PinnedData(
        keyed_hash=version.keyed_hash if "hash" in told else None,
        rows={name: table.rows for name, table in version.tables.items()} if "rows" in told else {},
        columns=tuple(column for column in columns if all(map(is_printable_name, column)))[:_MOST_COLUMNS],
    )
