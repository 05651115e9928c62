"""Pushing a party's versions beside its training."""

from threading import Thread

from fedmodels.errors import FedcartError, PartyError
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.sending import push_versions


class Pushing:
    """A push beside the training, which ends with the process at the latest."""

    def __init__(self, desk: VersionDesk, recipe: str) -> None:
        self._desk, self._recipe = desk, recipe
        self._error: FedcartError | None = None
        self._thread = Thread(target=self._push, name="push versions", daemon=True)
        self._thread.start()

    def outcome(self, patience: float) -> str:
        """Why not everything is pushed after so many seconds, as one sentence; empty when it is."""
        self._thread.join(patience)
        if self._thread.is_alive():
            return (
                f"A push of data versions is not done after {patience:.0f} s; the next pin goes on with it."
            )
        return f"{self._error} ({self._error.code})" if self._error else ""

    def _push(self) -> None:
        try:
            self._error = push_versions(self._desk, self._recipe)
        except FedcartError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 (the border of a thread: what nobody foresaw is told too)
            self._error = PartyError(
                f"The push of data versions of party {self._desk.party} failed with {type(error).__name__}",
                fix="push with fedcart data pin, which says more",
                code="push-failed",
            )
