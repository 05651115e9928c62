"""Opening a run: everything that is fixed goes into its plan; or resuming one where HEAD stands."""

import tempfile
from importlib.metadata import version
from pathlib import Path

from prefect import task

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Closed,
    Decision,
    Head,
    Plan,
    Record,
    StartingModel,
)
from fedmodels.protocol.progress import opening_head, refuse_closed, takeover
from fedmodels.protocol.state import RunState, advance
from fedmodels.protocol.steps import only_closes
from fedmodels.recipe import Recipe
from infra.layout import (
    COORDINATOR,
    architecture_key,
    closed_key,
    head_key,
    plan_key,
    role_prefix,
    round_key,
)
from infra.packages import MODEL_PREFIX, fetch_model
from infra.store_checks import refuse_unfit
from tasks.coordinator.beginning import begun_from, start_of
from tasks.coordinator.interrupting import epoch_lost, interrupted
from tasks.coordinator.run import CoordinatorRun, RoundWatch
from tasks.coordinator.sets import own_sets, refuse_changed_sets
from tasks.environment import this_environment
from tasks.exchange import AnyMessage, damage_told, parse, read_bytes, read_message, read_version
from tasks.models import adopt_model, model_file
from tasks.policy import STORE
from tasks.tagging import tagged

FOLDER_PREFIX = "folder:"


@task(task_run_name="race_store · {run.run}", **STORE)
@tagged
def race_store(run: CoordinatorRun) -> None:
    """See that of several writers at once one wins: all that follows is built on that.

    Raises:
        StoreRefused: several were told that they won.
    """
    refuse_unfit(run.store, role_prefix(COORDINATOR))


@task(task_run_name="open_run · {run.run}", **STORE)
@tagged
def open_run(
    run: CoordinatorRun,
    recipe: Recipe,
    parties: tuple[str, ...],
    repeats: str | None = None,
    start: StartingModel | None = None,
) -> str:
    """Build the base model, publish it, and write plan and HEAD; return the base model's SHA-256.

    Args:
        run: the run to open.
        recipe: what is trained.
        parties: those of the recipe that take part.
        repeats: the run that this one is to make again.
        start: the model of an earlier run from which this one begins, where it can.

    Raises:
        RunConflict: a run of this name exists with another plan.
        InputError: the model cannot be loaded, or a party's public key is unknown.
    """
    plan, archive = _build_plan(run, recipe, parties, repeats, start)
    with damage_told(plan_key(run.run)):
        stored = run.store.create(plan_key(run.run), canonical_json(plan))
    standing, run.plan_sha256 = parse(Plan, stored, plan_key(run.run)), sha256_hex(stored)
    opening = opening_head(run.run, plan.base_model_sha256, run.owner)
    with damage_told(head_key(run.run)):
        run.store.create(head_key(run.run), canonical_json(opening))
    head, version = _read_head(run)
    if standing != plan or head != opening:
        raise RunConflict(
            f"The run {run.run} exists {'and has begun' if standing == plan else 'with another plan'}",
            fix="choose another name, or resume it with fedcart train --resume",
            code="run-exists",
        )
    run.publisher.see_to(model_file(run.models, plan.base_model_sha256), plan.base_model_sha256)
    if not run.store.exists(architecture_key(plan.architecture_sha256)):
        run.store.put_blob(architecture_key(plan.architecture_sha256), archive)
    run.hold(RunState(plan=plan, head=head), version)
    return plan.base_model_sha256


@task(task_run_name="resume_run · {run.run}", **STORE)
@tagged
def resume_run(run: CoordinatorRun) -> int:
    """Take the next epoch and read where the run stands; return the round that HEAD stands at.

    Raises:
        InputError: there is no such run.
        RunConflict: the run is over, or another coordinator took it at the same moment; or the coordinator's
            sets are no longer those that its plan pins, and something is left to be scored on them.
        IntegrityError: the chain of its records is broken, or its plan or HEAD is another run's.
    """
    stored = read_bytes(run.store, plan_key(run.run))
    if stored is None:
        raise InputError(
            f"There is no run {run.run} to resume", fix="see fedcart runs list", code="run-unknown"
        )
    plan, run.plan_sha256 = parse(Plan, stored, plan_key(run.run)), sha256_hex(stored)
    refuse_closed(read_message(run.store, closed_key(run.run), Closed))
    opening = opening_head(run.run, plan.base_model_sha256, run.owner)
    with damage_told(head_key(run.run)):
        run.store.create(head_key(run.run), canonical_json(opening))
    head, version = _read_head(run)
    if {plan.run, head.run} != {run.run}:
        raise IntegrityError(
            f"Where the run {run.run} lies there are plan or HEAD of another one",
            fix="see fedcart runs verify, and start a new run",
            code="run-foreign",
        )
    records = tuple(_standing_record(run, number) for number in range(1, head.round + 1))
    check_chain(head, records)
    run.hold(RunState(plan=plan, head=head, records=records, took_over_at=head.round), version)
    if not _only_closes(run):
        refuse_changed_sets(run, plan)
    _swap_head(run, takeover(head, run.owner))
    _read_open_round(run)
    return head.round


@task(task_run_name="move_head · round {head.round}", **STORE)
@tagged
def move_head(run: CoordinatorRun, head: Head) -> bool:
    """Let HEAD follow the round's record, unless the run was closed meanwhile; say whether it moved.

    Looks for `closed.json` at each try, since a busy store may hold this step up for half a minute.

    Raises:
        RunConflict: another coordinator has taken over.
    """
    if interrupted(run, now=True):
        return False
    _swap_head(run, head)
    return True


def _swap_head(run: CoordinatorRun, head: Head) -> None:
    """Swap HEAD from the version that this coordinator knows."""
    with damage_told(head_key(run.run)):
        swapped = run.store.swap(head_key(run.run), canonical_json(head), run.head_version)
    if not swapped:
        raise epoch_lost(run.run, run.head.epoch)
    standing, version = _read_head(run)
    if standing != head:
        raise epoch_lost(run.run, run.head.epoch)
    run.fold_head(standing, version)


def _read_head(run: CoordinatorRun) -> tuple[Head, str]:
    key = head_key(run.run)
    found = read_version(run.store, key)
    if found is None:
        raise RunConflict(f"The run {run.run} has lost its HEAD", fix="start a new run", code="head-missing")
    return parse(Head, found[0], key), found[1]


def _read_open_round(run: CoordinatorRun) -> None:
    """Adopt what an earlier coordinator left of the round that is open.

    The store's clock says how long ago it was announced; this coordinator grants one grace more.
    """
    standing: tuple[Announcement | Decision | Candidate | Record | None, ...] = (
        _of_open_round(run, Announcement),
        _of_open_round(run, Decision),
        _of_open_round(run, Candidate),
        _of_open_round(run, Record),
    )
    for found in standing:
        if found is not None:
            run.fold(found)
    if run.state.announcement is not None:
        key = round_key(run.run, run.state.open_round, "announcement")
        run.watch = RoundWatch(run.store.age(key) or 0.0, resumed=True)


def _only_closes(run: CoordinatorRun) -> bool:
    """Whether nothing will be scored any more, whoever has the run: records that stand say so for good."""
    record = _of_open_round(run, Record)
    return only_closes(run.state if record is None else advance(run.state, record))


def _of_open_round(run: CoordinatorRun, kind: type[AnyMessage]) -> AnyMessage | None:
    key = round_key(run.run, run.state.open_round, kind.__name__.lower())
    return read_message(run.store, key, kind)


def _standing_record(run: CoordinatorRun, number: int) -> Record:
    record = read_message(run.store, round_key(run.run, number, "record"), Record)
    if record is None:
        raise RunConflict(
            f"The run {run.run} has lost the record of round {number}",
            fix="start a new run",
            code="record-missing",
        )
    return record


def _build_plan(
    run: CoordinatorRun,
    recipe: Recipe,
    parties: tuple[str, ...],
    repeats: str | None,
    start: StartingModel | None,
) -> tuple[Plan, bytes]:
    """The plan, and the architecture's archive; archive and base model are in the store."""
    from fedmodels.architecture import pack_architecture
    from fedmodels.classifier import build_classifier, parameter_specs, save_architecture, write_parameters
    from fedmodels.data.pinned import pin
    from fedmodels.data.prepared import CoordinatorTables, class_names

    missing = [party for party in parties if party not in run.party_keys]
    if missing:
        raise InputError(
            f"The coordinator has no public key of {', '.join(missing)}",
            fix="run fedcart up with this recipe, or add them to party_keys in its fedcart.toml",
            code="party-unknown",
        )
    sets = own_sets(run, recipe)
    labels = class_names(recipe.data, CoordinatorTables(sets["public"], sets["validation"], sets["holdout"]))
    model, tokenizer = build_classifier(_model_source(run, recipe), recipe.model, labels, recipe.seed)
    with tempfile.TemporaryDirectory(dir=run.own_folder) as folder:
        save_architecture(model, tokenizer, Path(folder))
        archive = pack_architecture(Path(folder))
        weights = Path(folder) / "base.safetensors"
        base_sha256 = write_parameters(model, weights)
        run.publisher.publish(weights, base_sha256)
        adopt_model(weights, base_sha256, run.models)
    architecture_sha256 = sha256_hex(archive)
    run.store.put_blob(architecture_key(architecture_sha256), archive)
    plan = Plan(
        run=run.run,
        recipe=recipe.without_paths(),
        parties={party: run.party_keys[party] for party in parties},
        labels=labels,
        parameters=parameter_specs(model),
        architecture_sha256=architecture_sha256,
        base_model_sha256=base_sha256,
        sets={name: pin(rows) for name, rows in sets.items()},
        fedcart_version=version("fedcart"),
        environment=this_environment(run.threads),
        repeats=repeats,
    )
    return begun_from(run, plan, start or start_of(run, repeats)), archive


def _model_source(run: CoordinatorRun, recipe: Recipe) -> Path | str:
    source = recipe.model.source
    if source.startswith(MODEL_PREFIX):
        return fetch_model(source, run.home)
    if source.startswith(FOLDER_PREFIX):
        return run.model_folders[recipe.name]
    return source
