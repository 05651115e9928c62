"""What drift left in a real store goes by age, and an open decision keeps what it needs."""

import pytest

from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import RetrainingRequest
from infra.layout import (
    closed_key,
    drift_prefix,
    plan_key,
    retraining_key,
    retrainings_prefix,
    seen_notices_prefix,
    sweeps_prefix,
)
from infra.settings import load_role_settings
from tasks.reading import read_plan
from tasks.retraining.notices import Released, new_sightings, note
from tasks.sweeping import sweep
from tests.store_alone import store_of

DAY = 86_400.0
WEEK = 7 * DAY
WHY = "drift long past"


def watch(made):
    """Note what is new; how many notices that was."""
    keys = load_role_settings(made.home, "coordinator").party_keys
    return len(
        [
            note(made.store, sighting.seen)
            for sighting in new_sightings(made.store, keys, Released(made.store))
        ]
    )


def swept(made, role, older_than=WEEK):
    """Keys of what drift left and a sweep of the role took."""
    gone = sweep(store_of(made.home, role), role, older_than)
    return {item.key for item in gone if item.why == WHY}


def begin(made, number, *, planned=True, closed=True):
    """Let a retraining have begun now; its key."""
    name = made.recipe.name
    run = f"{name}-again-{number}"
    request = RetrainingRequest(
        recipe=name,
        number=number,
        ticket="t",
        run=run,
        champion_sha256=made.model,
        parties=("shop-a",),
        reason="drift",
    )
    made.store.create(retraining_key(name, number), canonical_json(request))
    if planned:
        plan = read_plan(made.store, made.run).model_copy(update={"run": run})
        made.store.create(plan_key(run), canonical_json(plan))
    if closed:
        end = Closed(run=run, status="finished", model_sha256="0" * 64, rounds=1, final=None, seconds=1.0)
        made.store.create(closed_key(run), canonical_json(end))
    return retraining_key(name, number)


def test_each_side_sweeps_its_own_and_nothing_is_judged_again(telling, later):
    made = telling()
    key = made.tell("shop-a")
    assert watch(made) == 1
    (noted,) = made.store.list_keys(seen_notices_prefix("shop-a"))
    later(6 * DAY)
    assert (swept(made, "shop-a"), swept(made, "coordinator")) == (set(), set())
    later(8 * DAY)
    assert swept(made, "coordinator") == set(), "the notice still stands"
    assert watch(made) == 0
    assert swept(made, "shop-a") == {key}
    assert swept(made, "coordinator") == {noted}
    assert watch(made) == 0
    assert list(made.store.list_keys(drift_prefix("shop-a"))) == []
    assert list(made.store.list_keys(sweeps_prefix("shop-a"))) == [], "notes of sweeps are about blobs"


@pytest.mark.parametrize("age", [None, "refused"])
def test_a_notice_that_counts_is_kept_however_short_the_bound(telling, later, age):
    made = telling(max_notice_age=2 * DAY)
    key = made.tell("shop-a", signed_by="shop-b" if age else None)
    watch(made)
    later(1.5 * DAY)
    assert key not in swept(made, "shop-a", older_than=3600.0)
    assert swept(made, "coordinator", older_than=3600.0) == set()
    later(2.5 * DAY)
    assert key in swept(made, "shop-a", older_than=3600.0)


def test_of_retrainings_the_last_and_what_is_open_or_may_be_approved_stay(telling, later):
    made = telling()
    over, never = begin(made, 1), begin(made, 2, planned=False, closed=False)
    unclosed, latest = begin(made, 3, closed=False), begin(made, 4)
    newest = begin(made, 5, planned=False, closed=False)

    def left():
        swept(made, "coordinator")
        return set(made.store.list_keys(retrainings_prefix(made.recipe.name)))

    later(6 * DAY)
    assert left() == {over, never, unclosed, latest, newest}
    later(WEEK + DAY / 2)
    assert left() == {over, unclosed, latest, newest}, "for a day a person may approve what came of a run"
    later(WEEK + DAY + 60)
    assert left() == {unclosed, latest, newest}
