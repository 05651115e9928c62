"""A campaign: which cases there are, and how they are played, a few at a time."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event

from tests.faults.cases import CLOCK_CASES, Case, bundles
from tests.faults.faultless import Faultless, Lane
from tests.faults.judging import judged
from tests.faults.playing import Player, Stopped
from tests.faults.points import ACTIONS, MOMENTS, Point
from tests.faults.rows import Row
from tests.faults.scenes import RESUMED, Scene
from tests.faults.stack import Range

FIRST_SEED = 11
REPLAYS = 3


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

    def __post_init__(self) -> None:
        self._player = Player(self.place, self.stopping)
        self._faultless = Faultless(self._player)

    def survey(self, scenes: Sequence[Scene] = (RESUMED,)) -> None:
        """The runs without a fault, one of each recipe and lane; then one of each scene."""
        with ThreadPoolExecutor(len(self.lanes)) as threads:
            self.points.update(*threads.map(self._faultless.points_of_lane, self.lanes))
        found, known = self._faultless.points_of_scenes(self.lanes, scenes), set(self.points)
        for scene in scenes:
            self.scenes[scene] = found[scene] - known
            known |= found[scene]

    @property
    def all_points(self) -> set[Point]:
        return self.points.union(*self.scenes.values())

    def cases(self) -> list[Case]:
        """Every point that was passed, in every way, and wrong clocks; what matters most comes first."""
        return sorted((*CLOCK_CASES, *self._cases_at_points()), key=lambda case: case.point.rank)

    def _cases_at_points(self) -> Iterator[Case]:
        return (
            Case(point, action, when, scene)
            for scene, points in ((None, self.points), *self.scenes.items())
            for point in sorted(points)
            if scene is None or point.side in scene.sides
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
        begin, kind = time.monotonic(), bundle[0]
        before = kind.scene.orders(lane.party) if kind.scene else []
        orders = before + [case.order(lane.party) for case in bundle]
        played = self._player.play(kind.recipe(self.place.recipe, lane.seed), orders)
        seconds = round(time.monotonic() - begin, 1)
        return judged(bundle, played, lane, self._faultless, seconds)
