"""A party's drift check by hand, on the party's own machine: the same check, shown to whoever asks."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

from fedmodels.identifiers import check_identifier
from flows.open_store import names_a_store
from infra.local.stack import borrowed_store
from infra.settings import Settings, load_role_settings

if TYPE_CHECKING:
    from tasks.drift.checking import DriftCheck


def check_party_drift(recipe: str, party: str, settings: Settings) -> "DriftCheck":
    """Hold a party's fresh rows against their reference; the verdict is kept as that of a scheduled check.

    Args:
        recipe: name of the recipe.
        party: whose rows.
        settings: of this process: the party's own, or of the machine that plays all parties.

    Raises:
        FedcartError: nothing can be compared, in one sentence.
    """
    from tasks.drift.checking import check_drift
    from tasks.drift.desk import DriftDesk

    check_identifier("party", party)
    own = settings if settings.role == party else load_role_settings(settings.home, party)
    # The local stack's store is started alone when it is down.
    with nullcontext() if names_a_store(settings) else borrowed_store(settings.home):
        return check_drift(DriftDesk(check_identifier("recipe", recipe), own))
