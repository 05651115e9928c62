"""The benchmark runs, answers with the figures it promises, and draws the worlds that it names."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.drift import ROWS, main
from bench.drift_data import KINDS, SHIFTS, World, draw_rows, joined, last_rows
from validation.drift.columns import Scored

SMALL = ["--draws", "2", "--repeats", "1", "--months", "1", "--hours", "4", "--timed-rows", "2000"]


def test_it_prints_one_document_with_every_figure():
    command = [sys.executable, "-m", "bench.drift", "--json", *SMALL]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(document["detection"]) == set(SHIFTS)
    for found in document["detection"].values():
        assert set(found) == {str(rows) for rows in ROWS}
        assert found[str(ROWS[-1])] == 1.0
    assert [each["rate"] for each in document["false_alarms"].values()] == [0.0] * len(ROWS)
    assert document["false_retrainings"]["own rows"]["as_judged"] == [0]
    assert 0 < document["seconds"]["check_cpu"] < 10
    assert document["environment"]["cores"] > 0


def test_for_people_it_prints_a_table_and_draws_a_plot(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bench.drift.ROWS", (200,))
    monkeypatch.setattr(sys, "argv", ["drift", "--plot", str(tmp_path / "drift.png"), *SMALL])
    main()
    printed = capsys.readouterr().out
    assert printed.startswith("measured ")
    assert "found: label shift: 60 % positive to 40 %" in printed
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_has_every_column_and_its_rows():
    rows = draw_rows(World(), 50, np.random.default_rng(0))
    assert set(rows) == set(KINDS)
    for values in rows.values():
        assert len(values.confidence if isinstance(values, Scored) else values) == 50
    table = last_rows(joined(rows, draw_rows(World(price_factor=100.0), 20, np.random.default_rng(1))), 30)
    assert table["price"][:10].tolist() == rows["price"][-10:].tolist()
    assert np.median(table["price"][10:]) > 10 * np.median(rows["price"])
    assert table["calibration"].confidence[:10].tolist() == rows["calibration"].confidence[-10:].tolist()


def test_the_usual_world_is_calibrated_and_the_shifted_one_is_not():
    usual = draw_rows(World(), 50_000, np.random.default_rng(2))["calibration"]
    assert usual.confidence.mean() == pytest.approx(usual.correct.mean(), abs=0.01)
    world = SHIFTS["calibration: overconfident, odds cubed"][1]
    bold = draw_rows(world, 50_000, np.random.default_rng(2))["calibration"]
    assert bold.confidence.mean() - bold.correct.mean() > 0.08
