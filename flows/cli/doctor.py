"""`fedcart doctor`: does this machine, and does this object store, do what fedcart is built on?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.store_checks import Finding

COLUMNS = (("check", "left"), ("verdict", "left"), ("found", "left"))
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

    settings = load_settings()
    yield diagnosis.check_python()
    yield diagnosis.check_versions()
    yield diagnosis.check_disk(settings.home)
    yield diagnosis.check_gpu()
    if names_a_store(settings):
        yield from _one_role(settings)
    elif stack := read_stack(settings.home):
        yield from _whole_stack(settings.home, stack.roles)
    else:
        nothing = "there is no stack here, and the settings name no store and no role"
        yield Finding("object store", None, f"{nothing}; run fedcart up, or set FEDCART_ROLE on AWS")


def _one_role(settings: "Settings") -> "Iterator[Finding]":
    """The role whose settings this process has, on whatever store these name."""
    from infra.diagnosis import check_key
    from infra.layout import role_prefix
    from infra.store_checks import check_access, check_store
    from infra.stores import store_from_settings

    yield check_key(settings)
    store, prefix = store_from_settings(settings), role_prefix(settings.role)
    access = check_access(settings.role, store, prefix)
    yield access
    if access.passed:
        yield from check_store(store.client, settings.bucket, prefix)


def _whole_stack(home: Path, roles: tuple[str, ...]) -> "Iterator[Finding]":
    """Every role of the local stack."""
    from infra.diagnosis import check_key, check_party_keys
    from infra.layout import PRIVATE, role_prefix
    from infra.local.stack import borrowed_store
    from infra.settings import load_role_settings
    from infra.store_checks import check_access, check_isolation, check_store
    from infra.stores import store_from_settings

    with borrowed_store(home):
        settings = {role: load_role_settings(home, role) for role in roles}
        keys = [check_key(role_settings) for role_settings in settings.values()]
        yield from keys
        coordinator, *parties = settings.values()
        if all(key.passed for key in keys):
            yield check_party_keys(coordinator, parties)
        stores = {role: store_from_settings(settings[role]) for role in roles}
        access = {role: check_access(role, stores[role], role_prefix(role)) for role in roles}
        yield from access.values()
        clients = {role: stores[role].client for role in roles if access[role].passed}
        if "coordinator" in clients:
            yield from check_store(clients["coordinator"], coordinator.bucket, role_prefix("coordinator"))
        prefixes = {role: role_prefix(role) for role in roles} | {PRIVATE: f"{PRIVATE}/"}
        yield from check_isolation(clients, prefixes, coordinator.bucket)
