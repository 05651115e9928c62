"""Errors of a party without names of features of which its policy lets nothing be said. No Prefect.

Prefect stores what a task raises and what a flow ends with, at a shared server in a database that is not the
party's. Whoever looks at the party, with `fedcart drift check`, is told all.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fedmodels.drift_section import DriftSection
from fedmodels.errors import FedcartError


@contextmanager
def discreet(section: DriftSection, party: str, allowed: tuple[str, ...] | None) -> Iterator[None]:
    """Inside, an error that names a watched feature which the policy keeps back leaves without its sentence.

    Class and code stay: they say what kind of fault it is, and of which feature nothing.

    Args:
        section: what the recipe watches.
        party: whose policy it is.
        allowed: features of which it may speak; `None`: any.
    """
    try:
        yield
    except FedcartError as error:
        if allowed is None or not _named(str(error), section, allowed):
            raise
        raise type(error)(
            f"A feature cannot be watched of which the policy of party {party} lets nothing be said",
            fix="see fedcart drift check at the party",
            code=error.code,
        ) from None


def _named(message: str, section: DriftSection, allowed: tuple[str, ...]) -> bool:
    """Whether it holds a watched name that is not allowed, as it is or as an error quotes it."""
    names = {*section.features, *section.columns}.difference(allowed)
    spelt = {*names, *(repr(name)[1:-1] for name in names)}
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in spelt)
