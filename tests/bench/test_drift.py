"""The benchmark runs, answers with the figures it promises, and draws the worlds that it names."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.drift import GROUPED_ROWS, ROWS, WORLDS, main
from bench.drift_data import (
    CHATTY,
    KINDS,
    SHIFTS,
    World,
    draw_rows,
    joined,
    last_rows,
    new_rows,
    own_rows,
    texts_of,
)
from validation.drift.columns import Scored

SMALL = ["--draws", "2", "--repeats", "1", "--months", "1", "--hours", "4", "--timed-rows", "2000"]


def test_it_prints_one_document_with_every_figure():
    command = [sys.executable, "-m", "bench.drift", "--json", *SMALL]
    document = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for table, sizes in (("detection", ROWS), ("detection_of_grouped_rows", GROUPED_ROWS)):
        assert set(document[table]) == set(SHIFTS)
        for found in document[table].values():
            assert set(found) == {str(rows) for rows in sizes}
            assert found[str(sizes[-1])] == 1.0
    assert set(document["false_alarms"]) == set(WORLDS)
    for alarms in document["false_alarms"].values():
        assert [each["rate"] for each in alarms.values()] == [0.0] * len(ROWS)
    assert document["false_retrainings"]["own rows"]["as_judged"] == [0]
    assert 0 < document["seconds"]["check_cpu"] < 10
    assert document["environment"]["cores"] > 0


def test_for_people_it_prints_a_table_and_draws_a_plot(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bench.drift.ROWS", (200,))
    monkeypatch.setattr("bench.drift.GROUPED_ROWS", (500,))
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


def test_stock_phrases_are_as_frequent_among_new_rows_as_among_old_ones_that_have_their_text_alone():
    old, new = (draw_rows(CHATTY, 6000, np.random.default_rng(seed)) for seed in (3, 4))
    own, unmet = own_rows(old), new_rows(new, texts_of(old))

    def stock(rows):
        return np.mean([text.startswith("stock") for text in rows["text"]])

    assert stock(new) == pytest.approx(0.3, abs=0.02)
    assert stock(own) == pytest.approx(stock(unmet), abs=0.01)
    assert stock(unmet) < 0.02
    assert not texts_of(unmet) & texts_of(old)
