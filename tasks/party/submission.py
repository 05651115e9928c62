"""Submitting: an update with its signed receipt, or a typed reason for none."""

from typing import Any

from prefect import task

from fedmodels.errors import FedcartError
from fedmodels.protocol.messages import Announcement, Receipt
from infra.layout import receipt_key, update_key
from tasks.environment import this_environment
from tasks.exchange import create_signed
from tasks.party.boundary import sealed
from tasks.party.leaving import refuse_left
from tasks.party.pinned import told_version
from tasks.party.session import PartySession
from tasks.party.told_withdrawals import refuse_left_before, refuse_lost_list, told_so_far
from tasks.party.watchdog import ended_after
from tasks.party.withdrawn import held_list, refuse_withdrawn
from tasks.policy import STORE
from tasks.tagging import tagged


@task(task_run_name="submit_update · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("submit")
@ended_after(lambda recipe: recipe.round_timeout)
def submit_update(
    session: PartySession,
    announcement: Announcement,
    trained: dict[str, float],
    protected: dict[str, Any],
    flow_run_id: str,
) -> str:
    """Upload the update, then commit it by its receipt; return the update's SHA-256.

    An update that is the same as one of an earlier run may be an old blob, which the party's sweep is about
    to take: once the receipt names it, it is looked for, and put again.

    Raises:
        PartyError: rows that it learned from were withdrawn meanwhile, or the party has left.
    """
    path = session.round_folder(announcement.round) / "update.safetensors"
    sha256: str = protected["sha256"]
    key = update_key(session.party, sha256)
    size = session.store.upload(key, path, sha256)
    receipt = Receipt(
        run=session.run,
        round=announcement.round,
        party=session.party,
        plan_sha256=session.plan_sha256,
        base_sha256=announcement.model_sha256,
        update_sha256=sha256,
        update_bytes=size,
        update_norm=protected["norm"],
        num_examples=int(trained["num_examples"]),
        data_hash=session.data_hash,
        version=told_version(session.pinned, session.policy),
        data=session.report,
        metrics={name: value for name, value in trained.items() if name != "num_examples"},
        seconds={step: round(value, 3) for step, value in session.seconds.items()},
        compute=session.compute_before_now(),
        bytes_down=session.bytes_down,
        environment=this_environment(session.threads) if session.policy.tell_environment else None,
        flow_run_id=flow_run_id,
    )
    recipe = session.joined_plan.recipe.name
    told = told_so_far(session.store, session.party, recipe, session.notices)
    refuse_left_before(session.workspace, recipe, session.party, told)
    with held_list(session.workspace, recipe, session.party):
        refuse_left(session.workspace, recipe, session.party)
        refuse_withdrawn(session.workspace, recipe, session.party, session.left_out)
        refuse_lost_list(session.workspace, recipe, told)
        _commit(session, receipt)
    if not session.store.exists(key):
        session.store.upload(key, path, sha256)
    return sha256


@task(task_run_name="sit_out · {session.party} · round {announcement.round}", **STORE)
@tagged
@sealed("submit")
@ended_after(lambda recipe: recipe.round_timeout)
def sit_out(session: PartySession, announcement: Announcement, error: FedcartError, flow_run_id: str) -> str:
    """Tell the coordinator why there is no update this round; return the error's code."""
    receipt = Receipt(
        run=session.run,
        round=announcement.round,
        party=session.party,
        plan_sha256=session.plan_sha256,
        base_sha256=announcement.model_sha256,
        update_sha256=None,
        data=session.report,
        seconds={step: round(value, 3) for step, value in session.seconds.items()},
        compute=session.compute_before_now(),
        bytes_down=session.bytes_down,
        refusal=error.code,
        reason=str(error),
        flow_run_id=flow_run_id,
    )
    _commit(session, receipt)
    return error.code


def _commit(session: PartySession, receipt: Receipt) -> None:
    key = receipt_key(session.party, session.run, receipt.round)
    create_signed(session.store, key, receipt, session.signing_key)
