"""The benchmark of recovery fails when a promise is missed, and says which."""

import json
import sys

import pytest

from bench import recovery
from bench.recovery import PROMISED_S, promises_missed


def figures(**longest):
    """As `measure` returns them: half a second each, but for the longest of some."""
    return {
        name: {"median_s": 0.5, "most_s": longest.get(name, 0.5), "promised_s": promised, "all_s": [0.5]}
        for name, promised in PROMISED_S.items()
    }


def test_what_takes_as_long_as_promised_keeps_the_promise():
    assert promises_missed(figures(**PROMISED_S)) == []


@pytest.mark.parametrize(("name", "seconds"), [("coordinator", 15.2), ("store", 10.2), ("prefect", 60.2)])
def test_the_longest_time_counts_and_is_named(name, seconds):
    (sentence,) = promises_missed(figures(**{name: seconds}))
    assert sentence == f"promise missed: {name} took {seconds} s, and {PROMISED_S[name]:.0f} s are promised"


@pytest.mark.parametrize("longest", [{}, {"store": 10.5}])
def test_the_exit_status_says_so_and_the_figures_are_printed_all_the_same(monkeypatch, capsys, longest):
    monkeypatch.setattr(recovery, "measure", lambda _home, _repeats: figures(**longest))
    monkeypatch.setattr(sys, "argv", ["recovery", "--json"])
    if longest:
        with pytest.raises(SystemExit) as ended:
            recovery.main()
        assert ended.value.code == 1
    else:
        recovery.main()
    told = capsys.readouterr()
    assert json.loads(told.out)["store"]["most_s"] == longest.get("store", 0.5)
    assert told.err == ("promise missed: store took 10.5 s, and 10 s are promised\n" if longest else "")
