"""A party's data: cleaned, split and checked in its own process; only counts leave it."""

from functools import cache

from prefect import task

from fedmodels.errors import DataRefused
from fedmodels.protocol.messages import DataReport
from infra.keys import data_hash_key
from tasks.party.boundary import sealed
from tasks.party.contract import check_rows, check_terms
from tasks.party.discretion import discreet
from tasks.party.kept_contract import check_unless_kept, contract_folder, contract_key
from tasks.party.kept_rows import drift_folder, keep_rows, let_rows_go
from tasks.party.session import PartySession
from tasks.party.watchdog import ended_after
from tasks.policy import LOCAL
from tasks.reading import is_open
from tasks.release.reading import read_champion
from tasks.tagging import tagged


@task(task_run_name="prepare_data · {session.party}", **LOCAL)
@tagged
@sealed("data")
@ended_after(lambda recipe: recipe.preparing_limit)
def prepare_data(session: PartySession) -> dict[str, int]:
    """Clean and split the party's table; return counts of what cleaning changed.

    Raises:
        PartyError: the table is missing, cut short or has no usable rows.
    """
    from fedmodels.data.prepared import keyed_data_hash, prepare_party_tables

    plan = session.joined_plan
    tables = session.tables
    session.fingerprint = session.table_fingerprint()
    session.contract_key = contract_key(session.terms)
    session.report, session.contract = None, None
    session.prepared = None
    withdrawn = session.withdrawn
    session.left_out = withdrawn.name
    session.prepared = prepare_party_tables(
        tables.train,
        tables.holdout,
        plan.recipe.data,
        plan.labels,
        seed=plan.recipe.seed,
        fresh=tables.fresh,
        withdrawn=withdrawn,
    )
    session.data_hash = keyed_data_hash(session.prepared.train, data_hash_key(session.signing_key))
    return dict(session.prepared.counts)


@task(task_run_name="check_expectations · {session.party}", **LOCAL)
@tagged
@sealed("join")
@ended_after(lambda recipe: recipe.preparing_limit)
def check_expectations(session: PartySession) -> str:
    """Refuse a contract, or expectations of the party's own, that its tables cannot be held against.

    Raises:
        InputError: the party's own expectations are wrong.
        DataRefused: the recipe names a column that a table does not have.
    """
    if session.has_tables:
        check_terms(session.terms)
    return session.party


@task(task_run_name="validate_data · {session.party}", **LOCAL)
@tagged
@sealed("data")
@ended_after(lambda recipe: recipe.preparing_limit)
def validate_data(session: PartySession) -> DataReport:
    """Hold the prepared rows against their contract, unless that was done and nothing has changed since.

    The full result stays in the party's folder.

    Raises:
        DataRefused: a critical expectation failed; the message names it and no value.
    """
    prepared = session.prepared
    if prepared is None:
        raise DataRefused(f"Party {session.party} has no prepared data", fix="prepare them first")
    checked = check_unless_kept(
        contract_folder(session.workspace, session.terms.recipe.name),
        session.terms,
        session.contract_key if session.fingerprint == session.table_fingerprint() else None,
        lambda now, scratch: check_rows(session.terms, prepared, now, scratch),
    )
    session.contract, verdict = checked, checked.verdict
    session.report = DataReport(
        rows=len(prepared.train) + len(prepared.holdout),
        train_rows=len(prepared.train),
        holdout_rows=len(prepared.holdout),
        cleaned=dict(prepared.counts),
        contract_passed=verdict.passed,
        failed_expectations=verdict.failed,
        evaluated_expectations=verdict.evaluated,
    )
    if not verdict.passed:
        session.prepared = None  # rows that are refused neither train nor vote
        raise DataRefused(
            f"The data of party {session.party} fail {', '.join(verdict.critical)}",
            fix="correct the table; the full result lies in the party's own folder",
            code="contract-failed",
        )
    if session.workbench is not None:
        session.workbench.encode(prepared.train)
        session.workbench.encode(prepared.holdout)
    return session.report


@task(task_run_name="keep_trained_rows · {session.party}", **LOCAL)
@tagged
@sealed("keep")
@ended_after(lambda recipe: recipe.preparing_limit)
def keep_trained_rows(session: PartySession) -> str:
    """Keep the rows that are about to be trained on: once released, fresh ones are held against them.

    Nothing is kept of rows that are refused, or where the recipe watches no drift.

    Raises:
        PartyError: a table lacks a column that the recipe watches, or the disk is full.
    """
    prepared, recipe = session.prepared, session.joined_plan.recipe
    if prepared is not None and recipe.drift.enabled:
        folder = drift_folder(session.workspace, recipe.name)
        with discreet(recipe.drift, session.party, session.policy.drift_features):
            keep_rows(folder, session.data_hash, prepared, session.tables, recipe, session.run)
    return session.party


@sealed("keep")
@ended_after(lambda recipe: recipe.round_timeout)
def let_old_rows_go(session: PartySession) -> None:
    """Once the rows have been trained on, let those of older trainings go that nothing refers to.

    A run that fails before it trains takes nobody's rows away. Those of a run that is open, and those that
    the champion was trained on, stay however many trainings follow.

    Raises:
        FedcartError: the store does not say which runs those are; then nothing goes.
    """
    recipe = session.joined_plan.recipe
    champion = cache(lambda: read_champion(session.store, recipe.name))

    def is_needed(run: str) -> bool:
        released = champion()
        return (released is not None and released.run == run) or is_open(session.store, run)

    if recipe.drift.enabled:
        folder = drift_folder(session.workspace, recipe.name)
        let_rows_go(folder, session.data_hash, session.run, is_needed)


@sealed("data")
@ended_after(lambda recipe: recipe.round_timeout)
def data_changed(session: PartySession) -> bool:
    """Whether the party's tables were rewritten since they were last prepared."""
    return session.fingerprint != session.table_fingerprint()
