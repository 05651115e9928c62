"""The soak tells what grew from what is flat, fails for it, and draws both figures that may grow."""

import json
import sys

import pytest

from bench import soak
from bench.soak import STORE_MOST_MB, growing, grown, plot_samples

SAMPLES = [
    {"round": 1, "memory_mb": {"store": 100.0}, "files": {"store": 20.0}},
    {"round": 2, "memory_mb": {"store": 110.0, "run": 300.0}, "files": {"store": 21.0, "run": 60.0}},
]


def test_memory_and_open_files_are_drawn_by_kind_of_process(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(soak, "plot_lines", lambda *arguments: drawn.update(arguments[-1]))
    plot_samples(tmp_path / "soak.png", "2 rounds", SAMPLES)
    assert drawn == {
        "MB (PSS)": {"run": [(2, 300.0)], "store": [(1, 100.0), (2, 110.0)]},
        "open file descriptors": {"run": [(2, 60.0)], "store": [(1, 20.0), (2, 21.0)]},
    }


def test_a_picture_is_written(tmp_path):
    plot_samples(tmp_path / "soak.png", "2 rounds", SAMPLES)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def sampled(kind, memory, files=None):
    """Samples of one kind of process, in order."""
    files = files or [20.0] * len(memory)
    return [
        {"round": number, "memory_mb": {kind: held}, "files": {kind: opened}}
        for number, (held, opened) in enumerate(zip(memory, files, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("memory", "early", "late", "grew"),
    [
        ([100.0] * 8, 100.0, 100.0, False),
        ([100.0] * 6 + [130.0] * 2, 100.0, 130.0, False),
        ([100.0] * 6 + [130.2] * 2, 100.0, 130.2, True),
        ([100.0 + 10 * number for number in range(8)], 125.0, 165.0, True),
        ([10.0] * 2 + [100.0] * 6, 100.0, 100.0, False),
        ([100.0] * 2 + [100.0] * 2 + [900.0] * 2 + [100.0] * 2, 100.0, 100.0, False),
        ([100.0] * 12, 100.0, 100.0, False),
        ([100.0] * 9 + [100.0, 100.0, 900.0], 100.0, 100.0, False),
        ([400.0] * 6 + [100.0] * 2, 400.0, 100.0, False),
        ([0.0] * 6 + [20.2] * 2, 0.0, 20.2, True),
    ],
    ids=[
        "flat",
        "as much as may be",
        "a little more",
        "steadily",
        "only while it starts",
        "a peak in between",
        "flat, longer",
        "one sample of the last",
        "less",
        "from nothing",
    ],
)
def test_memory_grew_when_its_late_median_is_above_the_early_one(memory, early, late, grew):
    """By more than a tenth and 20 MB; early is the second quarter of the samples, late the last one."""
    growth = grown(sampled("run", memory))
    assert growth["run"]["memory_mb"] == {"early": early, "late": late, "grew": grew}
    assert growing(growth) == (["run memory_mb"] if grew else [])


@pytest.mark.parametrize(("late", "grew"), [(120.0, False), (121.0, True)])
def test_open_files_may_be_a_tenth_and_ten_more(late, grew):
    growth = grown(sampled("worker", [50.0] * 8, [100.0] * 6 + [late] * 2))
    assert growing(growth) == (["worker files"] if grew else [])


@pytest.mark.parametrize(("most", "grew"), [(STORE_MOST_MB, []), (STORE_MOST_MB + 1.0, ["store memory_mb"])])
def test_the_store_may_fill_the_memory_that_it_was_given_and_no_more_at_any_time(most, grew):
    assert growing(grown(sampled("store", [100.0, 100.0, 100.0, most, 100.0, 100.0, 300.0, 300.0]))) == grew


def test_a_kind_of_process_that_is_not_always_there_is_compared_where_it_is():
    samples = sampled("run", [100.0] * 8)
    for missing in (2, 7):
        samples[missing] = {"round": 0, "memory_mb": {}, "files": {}}
    assert grown(samples)["run"]["memory_mb"] == {"early": 100.0, "late": 100.0, "grew": False}


def test_one_sample_shows_nothing_and_is_not_called_flat():
    assert growing(grown(sampled("run", [100.0]))) == ["run memory_mb", "run files"]


@pytest.mark.parametrize(
    ("memory", "status", "said"),
    [
        ([100.0] * 8, "finished", ""),
        ([100.0] * 4 + [200.0] * 4, "finished", "grew: run memory_mb; run finished\n"),
        ([100.0] * 8, "failed", "grew: nothing; run failed\n"),
    ],
)
def test_the_exit_status_says_so_and_the_figures_are_printed_all_the_same(
    monkeypatch, capsys, memory, status, said
):
    samples = sampled("run", memory)
    growth = grown(samples)
    figures = {"samples": samples, "growth": growth, "grew": growing(growth), "status": status}
    monkeypatch.setattr(soak, "soak", lambda _home, _rounds, _draw: figures)
    monkeypatch.setattr(sys, "argv", ["soak", "--json"])
    if said:
        with pytest.raises(SystemExit) as ended:
            soak.main()
        assert ended.value.code == 1
    else:
        soak.main()
    told = capsys.readouterr()
    assert json.loads(told.out)["growth"]["run"]["memory_mb"]["late"] == memory[-1]
    assert told.err == said
