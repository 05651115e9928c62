"""Which run a case is played in, and which it is held against."""

from pathlib import Path

import pytest

from fedmodels.recipe import Recipe
from tests.faults.cases import Case, bundles
from tests.faults.points import Point, object_of
from tests.faults.recipes import PARTIES, one_is_enough, whole_recipe
from tests.faults.scenes import (
    CANCELLED,
    CANNOT_LOAD,
    DROPS,
    FORBIDS,
    RESUMED,
    SALVAGES,
    SCENES,
    SITS_OUT,
    TAKEN_BACK,
    TAKES_OVER,
)


def test_keys_have_names():
    assert object_of("coordinator/runs/r-1/HEAD.json") == "HEAD"
    assert object_of("parties/a/runs/r-1/rounds/0001/receipt.json") == "receipt"
    assert object_of("parties/a/blobs/00.safetensors") == "update"
    assert object_of("coordinator/blobs/00.safetensors") == "model"


def test_a_party_may_be_lost_by_hanging_and_by_its_disk_only():
    point = Point("party", "submit_update", "create receipt")
    assert [Case(point, action, "before").may_lose_a_party for action in ("kill", "hang", "error")] == [
        False,
        True,
        False,
    ]
    assert Case(Point("party", "validate_data"), "error", "before").may_lose_a_party
    assert not Case(Point("coordinator", "fine_tune"), "error", "before").may_lose_a_party


def test_cases_that_share_a_run_are_of_one_kind():
    here = [Case(Point("coordinator", f"step{n}"), "kill", "before") for n in range(5)]
    there = [
        Case(Point("party", f"step{n}"), action, "after") for n in range(4) for action in ("kill", "hang")
    ]
    found = bundles([*here, *there], 4)
    assert sorted(map(len, found)) == [1, 1, 1, 1, 1, 1, 3, 4]
    assert sorted(case.name for bundle in found for case in bundle) == sorted(c.name for c in [*here, *there])
    assert all(len({(case.point.side, case.action) for case in bundle}) == 1 for bundle in found)


@pytest.mark.parametrize("scene", SCENES)
def test_a_fault_in_a_scene_comes_after_the_scene_s_own(scene):
    case = Case(Point("party", "some_step"), "kill", "before", scene)
    orders, last = scene.orders("shop-a"), case.order("shop-a")
    assert all(order.role in ("coordinator", "shop-a") for order in orders)
    assert {order.follows for order in orders} <= {None}
    assert last.follows == (0 if orders else None)
    assert Case(case.point, "kill", "before").order("shop-a").follows is None
    assert case.name == Case(case.point, "kill", "before").name


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_s_recipe_is_one(scene):
    tables = {party: Path(f"{party}.csv") for party in PARTIES}
    recipe = scene.recipe(whole_recipe(Path("toy"), tables, Path("own.csv")), 11)
    assert Recipe.model_validate(recipe.model_dump()) == recipe


def test_which_run_a_case_is_held_against_depends_on_its_scene_and_on_whether_a_party_may_be_lost():
    point = Point("party", "sit_out", "create receipt")
    alike = {scene: Case(point, "kill", "after", scene).alike for scene in (None, *SCENES)}
    assert {alike[scene] for scene in (None, TAKES_OVER, RESUMED)} == {"all count"}
    assert {alike[scene] for scene in (SITS_OUT, FORBIDS, CANNOT_LOAD)} == {"same decisions"}
    assert {alike[scene] for scene in (DROPS, TAKEN_BACK, SALVAGES, CANCELLED)} == {"same scene"}
    hanging = [Case(point, "hang", "after", scene) for scene in (None, RESUMED, SITS_OUT)]
    assert {(case.alike, case.recipe) for case in hanging} == {("same decisions", one_is_enough)}


def test_in_scenes_of_a_party_each_case_has_its_own_run():
    cases = [Case(Point("party", f"step{n}"), "kill", "after", TAKES_OVER) for n in range(3)]
    assert [len(bundle) for bundle in bundles(cases, 3)] == [1, 1, 1]
