"""The bucket for a command that only looks: the store is started alone when the stack is down."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedmodels.errors import StackError
from flows.following import coordinator_store
from infra.layout import COORDINATOR
from infra.local.plan import read_stack
from infra.local.stack import borrowed_store
from infra.locations import role_folder
from infra.object_store import ObjectStore
from infra.settings import Settings, load_role_settings
from infra.stores import store_from_settings


@contextmanager
def open_store(home: Path) -> Iterator[ObjectStore]:
    """The coordinator's view of the bucket; a store that was started for it is stopped again."""
    with borrowed_store(home):
        yield coordinator_store(home)


@contextmanager
def open_named_store(settings: Settings) -> Iterator[ObjectStore]:
    """The store that these settings name, or the local stack's as its coordinator sees it."""
    if names_a_store(settings):
        yield store_from_settings(settings)
    else:
        with open_store(settings.home) as store:
            yield store


def applying_settings(settings: Settings) -> Settings:
    """These settings, where they name a store; or those of the local stack's coordinator.

    Raises:
        InputError: neither stands here.
    """
    return settings if names_a_store(settings) else load_role_settings(settings.home, COORDINATOR)


@contextmanager
def open_role_stores(settings: Settings) -> Iterator[Mapping[str, ObjectStore]]:
    """The store with each role's own credentials: this process's role, or all of the local stack.

    Raises:
        StackError: the settings name no store, and there is no stack here.
    """
    if names_a_store(settings):
        yield {settings.role: store_from_settings(settings)}
        return
    with borrowed_store(settings.home):
        stack = read_stack(settings.home)
        roles = stack.roles if stack else ()
        yield {role: store_from_settings(load_role_settings(settings.home, role)) for role in roles}


def refuse_other_stack(settings: Settings, recipe: str | None, resume: str | None) -> None:
    """See that a training is not asked of a store and a Prefect server that are elsewhere.

    To train is to begin a run and to watch it beside its workers: the command looks after processes of this
    machine, and a stack elsewhere has them on others.

    Args:
        settings: of this process.
        recipe: name of the recipe, if the person named one.
        resume: id of the run to go on with; `None` for a new one.

    Raises:
        StackError: `stack-elsewhere`; says how a run is begun, or goes on, there.
    """
    if read_stack(settings.home) is not None or not names_a_store(settings):
        return
    named, run = recipe or "RECIPE", f"{resume} -p resume=true" if resume else "RUN"
    raise StackError(
        f"fedcart train works beside a stack of this machine, and there is none in {settings.home}: "
        "the settings name a store elsewhere",
        fix=f"there, run fedcart deploy --recipe {named} --server URL, then prefect deployment run "
        f"federated-training/coordinator -p recipe={named} -p run={run}",
        code="stack-elsewhere",
    )


def workspace_of(settings: Settings, role: str) -> Path:
    """The folder of a role whose store `open_role_stores` gives."""
    return settings.workspace if names_a_store(settings) else role_folder(settings.home, role)


def names_a_store(settings: Settings) -> bool:
    """Whether a role's own settings apply, and not the local stack's.

    A role that is configured without a store has its bucket on AWS, with the credentials of the machine.
    """
    named = settings.s3_endpoint or settings.s3_access_key_id
    return bool(named or "role" in settings.model_fields_set)
