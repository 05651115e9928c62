"""`fedcart doctor`: does this machine, and does this object store, do what fedcart is built on?"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from fedmodels.errors import FedcartError
from flows.cli.output import JsonFlag, print_json, print_table, refusal_of

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.store_checks import Finding

COLUMNS = (("check", "left"), ("verdict", "left"), ("found", "left"))
Made = TypeVar("Made")
VERDICTS = {True: "ok", False: "FAILED", None: "not checked"}


def doctor(as_json: JsonFlag = False) -> None:
    """Check versions, disk, GPU, keys and the object store; exits with 1 when a check fails.

    The store is put through races of creations and swaps, damaged bytes, and attempts of every role
    on the others' prefixes. It is started alone when the stack is down. Of a
    check that could not be made, `passed` is null.
    """
    findings = list(_findings())
    failed = [finding.check for finding in findings if finding.passed is False]
    if as_json:
        print_json({"passed": not failed, "checks": [vars(finding) for finding in findings]})
    else:
        rows = [(f.check, VERDICTS[f.passed], f.detail) for f in findings]
        print_table("fedcart doctor", COLUMNS, rows)
    if failed:
        raise typer.Exit(1)


def _findings() -> "Iterator[Finding]":
    from flows.open_store import names_a_store
    from infra import diagnosis
    from infra.local.plan import read_stack
    from infra.settings import load_settings
    from infra.store_checks import Finding

    settings, broken = _attempt("settings of this process", load_settings)
    yield diagnosis.check_python()
    yield diagnosis.check_versions()
    if settings:
        yield diagnosis.check_disk(settings.home)
    yield diagnosis.check_gpu()
    yield from broken
    if settings is None:
        return
    if names_a_store(settings):
        yield from _one_role(settings)
    elif stack := read_stack(settings.home):
        yield from _whole_stack(settings.home, stack.roles)
    else:
        nothing = "there is no stack here, and the settings name no store and no role"
        yield Finding("object store", None, f"{nothing}; run fedcart up, or set FEDCART_ROLE on AWS")


def _attempt(check: str, make: Callable[[], Made]) -> "tuple[Made | None, list[Finding]]":
    """What `make` makes; what it refuses is a failed check, and the others go on."""
    from infra.store_checks import Finding

    try:
        return make(), []
    except FedcartError as error:
        return None, [Finding(check, False, f"{error} ({error.code})")]
    except OSError as error:
        refusal = refusal_of(error)
        return None, [Finding(check, False, f"{refusal} ({refusal.code})")]


def _one_role(settings: "Settings") -> "Iterator[Finding]":
    """The role whose settings this process has, on whatever store these name."""
    from infra.diagnosis import check_key, check_model_key
    from infra.layout import COORDINATOR, role_prefix
    from infra.store_checks import check_access, check_store
    from infra.stores import store_from_settings

    yield check_key(settings)
    if settings.role == COORDINATOR:
        yield check_model_key(settings)
    store, prefix = store_from_settings(settings), role_prefix(settings.role)
    access = check_access(settings.role, store, prefix)
    yield access
    if access.passed:
        yield from check_store(store.client, settings.bucket, prefix)


def _whole_stack(home: Path, roles: tuple[str, ...]) -> "Iterator[Finding]":
    """Every role of the local stack whose settings can be read."""
    from infra.diagnosis import check_key, check_model_key, check_party_keys
    from infra.layout import COORDINATOR
    from infra.local.stack import borrowed_store
    from infra.settings import load_role_settings

    settings: dict[str, Settings] = {}
    for role in roles:
        own, broken = _attempt(f"settings of {role}", partial(load_role_settings, home, role))
        yield from broken
        if own:
            settings[role] = own
    keys = [check_key(own) for own in settings.values()]
    yield from keys
    if COORDINATOR in settings:
        yield check_model_key(settings[COORDINATOR])
    if COORDINATOR in settings and all(key.passed for key in keys):
        parties = [own for role, own in settings.items() if role != COORDINATOR]
        yield check_party_keys(settings[COORDINATOR], parties)
    with ExitStack() as leaving:
        _, broken = _attempt("object store", lambda: leaving.enter_context(borrowed_store(home)))
        yield from broken or _shared_store(settings)


def _shared_store(settings: Mapping[str, "Settings"]) -> "Iterator[Finding]":
    """What the store lets each role do, and keeps each from."""
    from infra.layout import COORDINATOR, role_prefix
    from infra.store_checks import check_access, check_isolation, check_store, prefixes_of
    from infra.stores import store_from_settings

    stores = {role: store_from_settings(own) for role, own in settings.items()}
    access = {role: check_access(role, store, role_prefix(role)) for role, store in stores.items()}
    yield from access.values()
    clients = {role: stores[role].client for role in stores if access[role].passed}
    if COORDINATOR in clients:
        yield from check_store(clients[COORDINATOR], settings[COORDINATOR].bucket, role_prefix(COORDINATOR))
    if clients:
        yield from check_isolation(clients, prefixes_of(settings), next(iter(settings.values())).bucket)
