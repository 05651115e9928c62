"""One run from its start to its end, and what it leaves in the bucket.

Runs side by side have seeds of their own, and with them models and blobs of their own. A run's blobs are
deleted once it was judged, so that the next one cannot live on them.
"""

import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from fedmodels.protocol.messages import Closed
from fedmodels.recipe import Recipe
from infra.layout import role_prefix, run_prefix
from infra.locations import role_folder
from infra.object_store import ObjectStore
from tasks.party.kept_rows import drift_folder
from tasks.verifying.run import verify_run
from tests.faults.operator import Operator
from tests.faults.points import Order, Point
from tests.faults.recipes import PARTIES
from tests.faults.rows import Accepted, accepted
from tests.faults.stack import Range


class Stopped(Exception):
    """The campaign is to end: a run was left where it stood, and proves nothing."""


@dataclass(frozen=True)
class Played:
    """A run that is over, or was given up."""

    operator: Operator
    closed: Closed | None
    counted: Accepted

    @property
    def run(self) -> str:
        return self.operator.run

    @property
    def points(self) -> set[Point]:
        """What it passed."""
        lines = (self.operator.folder / "seen.log").read_text().splitlines()
        return {Point(*json.loads(line)) for line in lines}


@dataclass
class Player:
    """Plays runs, each under a name of its own."""

    place: Range
    stopping: Event = field(default_factory=Event)
    """Once set, runs under way are left where they stand."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def play(self, recipe: Recipe, orders: Sequence[Order]) -> Played:
        """A run with these orders, whatever becomes of it.

        Raises:
            Stopped: the campaign is to end.
        """
        operator = Operator(self.place, f"fault-{next(self._numbers):04d}", recipe, list(orders))
        self._keep_older_rows(operator.run, recipe)
        closed = operator.play(self.stopping.is_set)
        if self.stopping.is_set():
            raise Stopped
        return Played(operator, closed, accepted(self.place.store, operator.run))

    def _keep_older_rows(self, run: str, recipe: Recipe) -> None:
        """Let each party have rows of no training so far: it asks whether the run needs them."""
        for party in PARTIES:
            rows = drift_folder(role_folder(self.place.home, party), recipe.name) / "rows" / f"older-{run}"
            (rows / "runs").mkdir(parents=True)
            (rows / "runs" / run).touch()

    def is_verified(self, run: str) -> bool:
        """Whether everything that the run left can be computed again from its decisions."""
        with tempfile.TemporaryDirectory() as scratch:
            return verify_run(self.place.store, run, Path(scratch)).passed

    def forget_blobs(self, run: str) -> None:
        """Delete weights and architecture of the run; another lane's have another seed."""
        store = self.place.store
        hashes = _hashes_in(store, run_prefix("coordinator", run))
        hashes |= {h for party in PARTIES for h in _hashes_in(store, run_prefix(party, run))}
        for role, owner in {"coordinator": store, **self.place.stores}.items():
            for key in owner.list_keys(f"{role_prefix(role)}blobs/"):
                if key.rsplit("/", 1)[-1].split(".")[0] in hashes:
                    owner.delete(key)


def _hashes_in(store: ObjectStore, prefix: str) -> set[str]:
    """Every SHA-256 that a run's messages name, whatever it is of."""
    texts = (store.read(key) or b"" for key in store.list_keys(prefix))
    return {found for text in texts for found in re.findall(r"\b[0-9a-f]{64}\b", text.decode())}
