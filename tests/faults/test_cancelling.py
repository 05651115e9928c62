"""A person cancels a run in a process of its own, which carries the harness, and sees when it has died."""

from tests.faults.cancelling import Person
from tests.faults.injection import ORDERS
from tests.faults.stack import Range


def test_a_person_sees_that_the_command_has_ended(tmp_path):
    place = Range(tmp_path, tmp_path / "orders", recipe=None, store=None, stores={})
    assert place.environment[ORDERS] == str(place.orders)
    person = Person(place, "run-1", tmp_path)
    assert person.is_idle
    assert not person.gave_up, "nothing was begun"
    person.cancel()
    assert not person.is_idle
    person.leave()
    assert person.gave_up, "there is no such stack"
    assert "Traceback" not in (tmp_path / "cancel.log").read_text()
    assert (tmp_path / "cancel.log").stat().st_size > 0
