"""Reading runs from the bucket as a person's command does."""

import pytest

from fedmodels.errors import InputError
from infra.layout import plan_key
from infra.waiting import wait_for
from tasks.reading import read_plan, runs_by_time
from tests.store_alone import store_alone, store_of


def test_runs_are_in_the_order_in_which_they_were_planned_whatever_their_names(tmp_path):
    with store_alone(tmp_path, ("shop-a", "shop-b")) as home:
        store = store_of(home, "coordinator")
        for run in ("reviews-1", "alpha-2", "mine-3"):
            store.create(plan_key(run), b"{}")
            assert wait_for(lambda run=run: store.age(plan_key(run)) >= 1.0, timeout=10)
        store.create("coordinator/runs/unplanned-4/HEAD.json", b"{}")
        assert runs_by_time(store) == ["unplanned-4", "reviews-1", "alpha-2", "mine-3"]
        with pytest.raises(InputError, match=r"latest are: unplanned-4, reviews-1, alpha-2, mine-3\)"):
            read_plan(store, "nothing-1")
