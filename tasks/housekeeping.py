"""What a role tidies up below its prefix and on its disk, and what releases and withdrawals left undone."""

from functools import partial

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.errors import IntegrityError, write_coded
from fedmodels.protocol.releases import ReleaseRequest
from fedmodels.protocol.sweeping import parse_bound
from fedmodels.words import counted
from infra.deployments.answered import seconds_left
from infra.deployments.looking import is_going
from infra.keys import role_key
from infra.object_store import ObjectStore
from infra.settings import Settings
from infra.stores import store_from_settings
from tasks.policy import STORE
from tasks.release.answering import reject_overdue
from tasks.release.desk import form_key
from tasks.release.hearing import hear_withdrawals, mark_by_copies
from tasks.release.reading import released_recipes
from tasks.release.recording import record_all, recorder_from_settings
from tasks.release.taking import tickets
from tasks.sweeping import sweep
from tasks.working_files import sweep_leftovers


@task(task_run_name="sweep · {settings.role}", **STORE)
def sweep_prefix(settings: Settings, older_than: str) -> int:
    """Remove what nothing needs any more and is older than that; return the bytes that went.

    Raises:
        InputError: `older_than` is no age, or too short a one.
    """
    gone = sweep(store_from_settings(settings), settings.role, parse_bound(older_than))
    size = sum(item.size for item in gone)
    get_run_logger().info("%s of %.1f MB went", counted(len(gone), "object"), size / 1e6)
    return size


@task(task_run_name="sweep_disk · {settings.role}", **STORE)
def sweep_disk(settings: Settings, older_than: str) -> int:
    """Remove from the role's own disk what runs and caches left that is needed no more; return the bytes.

    Raises:
        InputError: `older_than` is no age, or too short a one.
    """
    store, bound = store_from_settings(settings), parse_bound(older_than)
    gone = sweep_leftovers(store, settings.role, settings.workspace, bound)
    size = sum(item.size for item in gone)
    get_run_logger().info("%s of %.1f MB went from the disk", counted(len(gone), "leftover"), size / 1e6)
    return size


@task(task_run_name="reject_overdue", **STORE)
def reject_overdue_releases(settings: Settings) -> int:
    """Reject, in nobody's name, every release whose deadline for an approval is over; return how many.

    Spared is one whose form was filled in before the deadline: the word waits for a worker to write it.

    Raises:
        IntegrityError: what a recipe's releases left is damaged; those of the others are rejected first.
    """
    store, rejected = store_from_settings(settings), 0
    damaged: list[IntegrityError] = []
    for recipe in released_recipes(store):
        try:
            rejected += len(reject_overdue(store, recipe, partial(_answered, store)))
        except IntegrityError as error:
            damaged.append(error)
    get_run_logger().info("%s rejected", counted(rejected, "release"))
    if damaged:
        raise damaged[0]
    return rejected


@task(task_run_name="hear_withdrawals", **STORE)
def hear_what_was_withdrawn(settings: Settings) -> int:
    """Take up the parties' notices of withdrawal, and mark what they touch; return how many were new.

    The scheduled watch does so too, and trains anew; not every coordinator has one. What could not be marked
    when its notice was heard, or has lost its mark, is marked now.

    Raises:
        FedcartError: a release could not be marked; all notices were taken up all the same.
    """
    key = role_key(settings.signing_key, settings.role)
    store = store_from_settings(settings)
    heard = hear_withdrawals(store, key, settings.party_keys)
    for refusal in heard.refused:
        get_run_logger().warning("A notice of withdrawal is refused: %s", write_coded(refusal))
    get_run_logger().info("%s of withdrawal taken up", counted(len(heard.notices), "notice"))
    for notice in heard.restored:
        get_run_logger().info("The copy of notice %d of %s is restored", notice.number, notice.party)
    if damaged := (*mark_by_copies(store, key), *heard.damaged):
        raise damaged[0]
    return len(heard.notices)


@task(task_run_name="record_releases", **STORE)
def record_missing_releases(settings: Settings) -> int:
    """Let the models repository follow the champions where a kill or an outage left it behind.

    Returns:
        How many tags were missing there.

    Raises:
        FedcartError: why it cannot.
    """
    store = store_from_settings(settings)
    if not released_recipes(store):
        return 0
    key = role_key(settings.signing_key, settings.role)
    done = record_all(recorder_from_settings(settings, store, key))
    for tag in done.lost:
        get_run_logger().warning(
            "%s cannot be recorded: its run or model is gone from the bucket, damaged, or not as signed",
            tag,
        )
    return len(done.tags)


def _answered(store: ObjectStore, request: ReleaseRequest) -> bool:
    """Whether somebody filled in the form of the flow run that asks, in time, and it may still read it."""
    asks = tickets(store, request)[-1]
    return seconds_left(asks, form_key(request.release)) is not None and is_going(asks)
