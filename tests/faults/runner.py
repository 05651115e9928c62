"""Plays cases, a few at a time, each against the run of the same recipe in which nothing happened.

Cases that run side by side have seeds of their own, and with them models and blobs of their own. A case's
blobs are deleted at its end, so that the next one cannot live on them.
"""

import itertools
import json
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from fedmodels.protocol.messages import Closed
from fedmodels.recipe import Recipe
from infra.layout import role_prefix, run_prefix
from infra.object_store import ObjectStore
from tasks.verifying.run import verify_run
from tests.faults.operator import Operator
from tests.faults.points import (
    ACTIONS,
    CLOCK_CASES,
    MOMENTS,
    RESUMED,
    Case,
    Order,
    Point,
    Scene,
    bundles,
    sits_out,
)
from tests.faults.rows import Accepted, Row, accepted, compared_with, names_of
from tests.faults.stack import PARTIES, Range

FIRST_SEED = 11
REPLAYS = 3


class Stopped(Exception):
    """The campaign is to end: a run was left where it stood, and proves nothing."""


@dataclass
class Lane:
    """Where one case after the other is played: a seed, and the models that it gives without any fault."""

    seed: int
    all_required: str = ""
    untuned: dict[Accepted, str] = field(default_factory=dict)
    """Decisions of a run without fine-tuning to its model; further ones are added as cases come to them."""

    @property
    def party(self) -> str:
        """The one that its cases are about."""
        return PARTIES[self.seed % 2]


@dataclass
class Runner:
    """Knows every point that a run passes, once `survey` has played those without a fault."""

    place: Range
    lanes: list[Lane]
    points: set[Point] = field(default_factory=set)
    scenes: dict[Scene, set[Point]] = field(default_factory=dict)
    """The points that a scene passes, and neither a run without it nor a scene before it."""
    stopping: Event = field(default_factory=Event)
    """Once set, no case begins, and runs under way are left where they stand."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def survey(self, scenes: Sequence[Scene] = (RESUMED,)) -> None:
        """The runs without a fault, one of each recipe and lane; then one of each scene."""
        with ThreadPoolExecutor(len(self.lanes)) as threads:
            for seen in threads.map(self._survey_lane, self.lanes):
                self.points |= seen
            shares = [scenes[number :: len(self.lanes)] for number in range(len(self.lanes))]
            found = dict(itertools.chain(*threads.map(self._survey_scenes, self.lanes, shares)))
        known = set(self.points)
        for scene in scenes:
            self.scenes[scene] = found[scene] - known
            known |= found[scene]

    @property
    def all_points(self) -> set[Point]:
        return self.points.union(*self.scenes.values())

    def _survey_scenes(self, lane: Lane, scenes: Sequence[Scene]) -> list[tuple[Scene, set[Point]]]:
        return [(scene, self._survey_scene(lane, scene)) for scene in scenes]

    def _survey_scene(self, lane: Lane, scene: Scene) -> set[Point]:
        lost = scene.loses_a_party
        recipe = (
            self.place.who_sits_out_is_left_out(lane.seed) if lost else self.place.all_required(lane.seed)
        )
        orders = scene.orders(lane.party)
        counted, model_sha256, seen = self._play_well(recipe, orders, resumes=scene.resumes)
        assert model_sha256 == (self._without_fault(lane, counted) if lost else lane.all_required)
        return seen

    def _survey_lane(self, lane: Lane) -> set[Point]:
        everybody = (PARTIES, PARTIES)
        counted, lane.all_required, seen = self._play_well(self.place.all_required(lane.seed))
        assert names_of(counted) == everybody
        counted, model_sha256, seen_too = self._play_well(self.place.untuned(lane.seed))
        assert names_of(counted) == everybody
        lane.untuned[counted] = model_sha256
        return seen | seen_too

    def _play_well(
        self, recipe: Recipe, orders: Sequence[Order] = (), resumes: int = 0
    ) -> tuple[Accepted, str, set[Point]]:
        """A run that must finish as ordered: whom it counted, its model, and the points that it passed."""
        operator, closed = self._play(recipe, list(orders))
        assert closed is not None, f"the run did not end ({operator.standing()})"
        assert closed.status == "finished", closed.reason
        assert operator.resumes == resumes
        assert len(operator.fired) == len(orders)
        counted = accepted(self.place.store, operator.run)
        self._forget_blobs(operator.run)
        return counted, closed.model_sha256, _seen(operator.folder)

    def _without_fault(self, lane: Lane, counted: Accepted) -> str | None:
        """The model of a run without a fault whose decisions count the same; played when first asked for.

        In it, who is not counted in a round refuses its data in that round, and says so in its receipt.
        """
        if counted not in lane.untuned and all(counted):
            orders = [
                sits_out(party, number)
                for number, names in enumerate(names_of(counted), start=1)
                for party in PARTIES
                if party not in names
            ]
            again, model_sha256, _ = self._play_well(self.place.who_sits_out_is_left_out(lane.seed), orders)
            lane.untuned[again] = model_sha256
        return lane.untuned.get(counted)

    def cases(self) -> list[Case]:
        """Every point that was passed, in every way, and wrong clocks; what matters most comes first."""
        every = [
            *CLOCK_CASES,
            *self._cases_at_points(),
        ]
        return sorted(every, key=lambda case: case.point.rank)

    def _cases_at_points(self) -> Iterator[Case]:
        return (
            Case(point, action, when, scene)
            for scene, points in ((None, self.points), *self.scenes.items())
            for point in sorted(points)
            for action in ACTIONS
            for when in MOMENTS
        )

    def play_all(
        self,
        cases: Iterable[Case],
        tell: Callable[[Row], None] = lambda _row: None,
        *,
        until: float = math.inf,
        together: int = 1,
    ) -> list[Row]:
        """Play cases side by side, as many as there are lanes; none begins after `until` (`monotonic`).

        With `together` above 1, as many cases of one kind share a run, and one that does not pass is played
        again alone. One whose point was not passed proves nothing, and is played again up to `REPLAYS` times:
        who finds at once what they wait for, a score say, does not look whether the run was closed.
        """
        free: SimpleQueue[Lane] = SimpleQueue()
        for lane in self.lanes:
            free.put(lane)

        def play(bundle: tuple[Case, ...]) -> list[Row]:
            lane = free.get()
            try:
                if time.monotonic() > until or self.stopping.is_set():
                    return []
                rows = self.play(bundle, lane)
                if len(bundle) > 1:
                    rows = [row if row.passed else self.play((row.case,), lane)[0] for row in rows]
                for _replay in range(REPLAYS):
                    rows = [self.play((row.case,), lane)[0] if row.proves_nothing else row for row in rows]
            except Stopped:
                return []
            finally:
                free.put(lane)
            for row in rows:
                tell(row)
            return rows

        with ThreadPoolExecutor(len(self.lanes)) as threads:
            try:
                return [row for rows in threads.map(play, bundles(cases, together)) for row in rows]
            finally:
                threads.shutdown(cancel_futures=True)

    def play(self, bundle: tuple[Case, ...], lane: Lane) -> list[Row]:
        """A run with the faults of these cases, all of one kind, and what became of it."""
        begin = time.monotonic()
        lossy, scene = bundle[0].counts_what_it_counts, bundle[0].scene
        before = scene.orders(lane.party) if scene else []
        orders = [case.order(lane.party) for case in bundle]
        operator, closed = self._play(self._recipe_of(bundle[0], lane), before + orders)
        why = []
        survived = closed is not None and closed.status == "finished"
        if not survived:
            why.append(
                f"ended as {closed.status}: {closed.reason}"
                if closed
                else f"did not end ({operator.standing()})"
            )
        elif not operator.victims_ended():
            survived = False
            why.append("a process that was hit lives on")
        counted = accepted(self.place.store, operator.run)
        recomputed = not (closed and lossy) or self._verified(operator.run)
        self._forget_blobs(operator.run)
        seconds = round(time.monotonic() - begin, 1)
        expected = self._without_fault(lane, counted) if lossy else lane.all_required
        equal = closed is not None and closed.model_sha256 == expected and recomputed
        if closed and not equal:
            why.append(f"counted {names_of(counted)}" + ("" if recomputed else ", and cannot be recomputed"))
        return [
            Row(
                case=case,
                fired=number in operator.fired,
                happened=operator.happened.get(number, False),
                survived=survived,
                equal_hash=equal,
                compared_with=compared_with(counted),
                resumes=operator.resumes,
                seconds=seconds,
                together=len(bundle),
                why="; ".join([*why, *(() if number in operator.fired else ("did not fire",))]),
            )
            for number, case in enumerate(bundle, start=len(before))
        ]

    def _recipe_of(self, case: Case, lane: Lane) -> Recipe:
        if case.may_lose_a_party:
            return self.place.one_is_enough(lane.seed)
        if case.counts_what_it_counts:
            return self.place.who_sits_out_is_left_out(lane.seed)
        return self.place.all_required(lane.seed)

    def _play(self, recipe: Recipe, orders: list[Order]) -> tuple[Operator, Closed | None]:
        operator = Operator(self.place, f"fault-{next(self._numbers):04d}", recipe, orders)
        closed = operator.play(self.stopping.is_set)
        if self.stopping.is_set():
            raise Stopped
        return operator, closed

    def _verified(self, run: str) -> bool:
        """Whether everything that the run left can be computed again from its decisions."""
        with tempfile.TemporaryDirectory() as scratch:
            return verify_run(self.place.store, run, Path(scratch)).passed

    def _forget_blobs(self, run: str) -> None:
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


def _seen(folder: Path) -> set[Point]:
    return {Point(*json.loads(line)) for line in (folder / "seen.log").read_text().splitlines()}
