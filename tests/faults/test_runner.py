"""Which cases a campaign plays, and what is left of one that is stopped."""

from tests.faults.cases import Case
from tests.faults.faultless import Lane
from tests.faults.playing import Stopped
from tests.faults.points import Point
from tests.faults.rows import Row
from tests.faults.runner import Runner
from tests.faults.scenes import DROPS, SITS_OUT


def row_of(case):
    return Row(case, True, True, True, True, "", 0, 1.0, 1)


def test_no_party_is_hit_where_all_decisions_must_be_the_scene_s_own():
    here, there = Point("coordinator", "step"), Point("party", "step")
    runner = Runner(place=None, lanes=[], scenes={DROPS: {here, there}, SITS_OUT: {there}})
    assert {(case.scene, case.point) for case in runner.cases() if case.scene} == {
        (DROPS, here),
        (SITS_OUT, there),
    }


def test_a_campaign_that_is_stopped_begins_no_case():
    runner = Runner(place=None, lanes=[Lane(11)])
    runner.stopping.set()
    assert runner.play_all([Case(Point("party", "some_step"), "kill", "after")]) == []


def test_a_campaign_that_is_stopped_tells_what_was_played(monkeypatch):
    runner = Runner(place=None, lanes=[Lane(11)])
    cases = [Case(Point("party", f"step{n}"), "kill", "after") for n in range(3)]

    def play(bundle, _lane):
        if bundle[0] == cases[1]:
            runner.stopping.set()  # as the signal's handler does, while this run is under way
            raise Stopped
        return [row_of(bundle[0])]

    monkeypatch.setattr(runner, "play", play)
    assert [row.case for row in runner.play_all(cases)] == cases[:1]
