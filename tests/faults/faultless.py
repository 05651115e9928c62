"""Runs without a fault: which points they pass, and which model each of their kind ends with."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fedmodels.protocol.recording import Status
from tests.faults.playing import Played, Player
from tests.faults.points import Order, Point
from tests.faults.recipes import PARTIES, RecipeOf, all_required, untuned, who_sits_out_is_left_out
from tests.faults.rows import Accepted, names_of
from tests.faults.scenes import Alike, Scene, sits_out


@dataclass
class Lane:
    """Where one case after the other is played: a seed, and the models that it gives without any fault."""

    seed: int
    all_required: str = ""
    untuned: dict[Accepted, str] = field(default_factory=dict)
    """Decisions of a run without fine-tuning to its model; further ones are added as cases come to them."""
    scenes: dict[Scene, tuple[Accepted, str]] = field(default_factory=dict)
    """Scenes that are held against themselves, to decisions and model; added likewise."""

    @property
    def party(self) -> str:
        """The one that its cases are about."""
        return PARTIES[self.seed % 2]


@dataclass
class Faultless:
    """Plays runs in which nothing happens but what a scene orders, and which must end as it says."""

    player: Player

    def points_of_lane(self, lane: Lane) -> set[Point]:
        """The runs in which all count, with fine-tuning and without: the points that they pass."""
        tuned, plain = (self._play(lane, recipe) for recipe in (all_required, untuned))
        assert names_of(tuned.counted) == names_of(plain.counted) == (PARTIES, PARTIES)
        lane.all_required, lane.untuned[plain.counted] = _model_of(tuned), _model_of(plain)
        return tuned.points | plain.points

    def points_of_scenes(self, lanes: Sequence[Lane], scenes: Sequence[Scene]) -> dict[Scene, set[Point]]:
        """One run of each scene, side by side: the points that it passes."""
        shares = [scenes[number :: len(lanes)] for number in range(len(lanes))]
        with ThreadPoolExecutor(len(lanes)) as threads:
            found = threads.map(self._points_of_share, lanes, shares)
            return dict(itertools.chain(*found))

    def model(self, lane: Lane, alike: Alike, counted: Accepted, scene: Scene | None) -> str | None:
        """The model that a run must end with whose decisions count this; `None` when there is no such run.

        The run to which it is compared is played when it is first asked for.
        """
        if alike == "same scene":
            assert scene is not None
            if scene not in lane.scenes:
                self._play_scene(lane, scene)
            decided, model_sha256 = lane.scenes[scene]
            return model_sha256 if decided == counted else None
        return self._of_decisions(lane, counted) if alike == "same decisions" else lane.all_required

    def _points_of_share(self, lane: Lane, scenes: Sequence[Scene]) -> list[tuple[Scene, set[Point]]]:
        return [(scene, self._play_scene(lane, scene).points) for scene in scenes]

    def _play_scene(self, lane: Lane, scene: Scene) -> Played:
        played = self._play(lane, scene.recipe, scene.orders(lane.party), scene.resumes, scene.ends)
        if scene.alike == "same scene":
            lane.scenes[scene] = played.counted, _model_of(played)
        else:
            assert _model_of(played) == self.model(lane, scene.alike, played.counted, scene)
        return played

    def _of_decisions(self, lane: Lane, counted: Accepted) -> str | None:
        """That of a run in which whoever is not counted in a round refuses its data, and says so."""
        if counted not in lane.untuned and all(counted):
            orders = [
                sits_out(party, number)
                for number, names in enumerate(names_of(counted), start=1)
                for party in PARTIES
                if party not in names
            ]
            again = self._play(lane, who_sits_out_is_left_out, orders)
            lane.untuned[again.counted] = _model_of(again)
        return lane.untuned.get(counted)

    def _play(
        self,
        lane: Lane,
        recipe: RecipeOf,
        orders: Sequence[Order] = (),
        resumes: int = 0,
        ends: Status = "finished",
    ) -> Played:
        """A run that must end as ordered."""
        played = self.player.play(recipe(self.player.place.recipe, lane.seed), orders)
        operator, closed = played.operator, played.closed
        assert closed is not None, f"the run did not end ({operator.standing()})"
        assert closed.status == ends, closed.reason
        assert ends != "cancelled" or operator.head_stayed()
        assert operator.resumes == resumes
        assert len(operator.fired) == len(orders)
        self.player.forget_blobs(played.run)
        return played


def _model_of(played: Played) -> str:
    assert played.closed is not None
    return played.closed.model_sha256
