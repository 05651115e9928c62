"""The benchmark runs, answers with the figures it promises, and draws the worlds that it names."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.drift import GROUPED_ROWS, ROWS, WORLDS, main, promises_missed
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


def measured():
    """Figures that keep every promise, each at its bound."""
    return {
        "false_alarms": {"usual": {"200": {"rate": 0.05, "significant": 0.5}}},
        "false_retrainings": {"own rows": {"as_judged": [0, 1], "by_significance_alone": [9]}},
        "detection": {"length": {"200": 0.1, "500": 0.95}},
        "detection_of_grouped_rows": {"length": {"500": 0.1, "1000": 0.95}},
        "seconds": {"check_wall": 0.999, "check_cpu": 0.9, "reference_wall": 0.5},
    }


def test_what_keeps_every_promise_misses_none():
    assert promises_missed(measured()) == []


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (
            ("false_alarms", "usual", "200", "rate"),
            0.051,
            "false alarms, usual, 200 rows: 5.1%, and at most 5% is promised",
        ),
        (
            ("false_retrainings", "own rows", "as_judged"),
            [0, 2],
            "false retrainings, own rows: 2 in a month, and at most one is promised",
        ),
        (
            ("detection", "length", "500"),
            0.94,
            "detection, length, 500 rows: 94%, and at least 95% is promised",
        ),
        (
            ("detection_of_grouped_rows", "length", "1000"),
            0.94,
            "detection of grouped rows, length, 1000 rows: 94%, and at least 95% is promised",
        ),
        (
            ("seconds", "check_wall"),
            1.0,
            "the check took 1.00 s, and less than 1 s is promised",
        ),
    ],
)
def test_a_promise_that_is_missed_is_told(place, value, said):
    document = measured()
    *outer, last = place
    part = document
    for name in outer:
        part = part[name]
    part[last] = value
    assert promises_missed(document) == [f"promise missed: {said}"]


def test_a_promise_that_is_missed_ends_the_benchmark_with_1(monkeypatch, capsys):
    monkeypatch.setattr("bench.drift.ROWS", (200,))
    monkeypatch.setattr("bench.drift.GROUPED_ROWS", (500,))
    monkeypatch.setattr("bench.drift.seconds", lambda *_: measured()["seconds"] | {"check_wall": 1.5})
    monkeypatch.setattr(sys, "argv", ["drift", *SMALL])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "promise missed: the check took 1.50 s, and less than 1 s is promised\n"
    )


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
