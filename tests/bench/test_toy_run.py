"""The recipe that benchmarks of whole runs share is one that a run takes."""

from bench.recovery import ROUNDS
from bench.toy_run import GATE_OF_NO_QUALITY, toy_recipe

PARTIES = ("shop-a", "shop-b")


def test_it_is_a_recipe_with_a_table_for_each_party(tmp_path):
    recipe = toy_recipe(
        tmp_path, "toy", PARTIES, 8, {"layers": 2}, num_rounds=ROUNDS, gate=GATE_OF_NO_QUALITY
    )
    assert recipe.parties == PARTIES
    assert recipe.num_rounds == ROUNDS
    assert recipe.gate.max_metric_drop is None
    folder = tmp_path / "inputs" / "toy"
    for owner in (*PARTIES, "own"):
        lines = (folder / f"{owner}.csv").read_text().splitlines()
        assert len(lines) == 1 + 8
        assert {line.rpartition(",")[2] for line in lines[1:]} == {"bad", "good"}
    assert (folder / "model" / "model.safetensors").exists()
