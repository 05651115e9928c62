"""Who is about to train is told at once when there is no stack, or when it is down."""

import pytest

from fedmodels.errors import StackError
from flows.following import running_store
from tests.store_alone import store_alone


def test_a_stack_that_is_down_is_not_a_store_that_fails(tmp_path):
    with store_alone(tmp_path, ("shop-a", "shop-b")) as home:
        assert running_store(home).read("nothing") is None
    with pytest.raises(StackError, match=r"is down; start it with fedcart up") as caught:
        running_store(home)
    assert caught.value.code == "stack-down"


def test_without_a_stack_one_is_to_be_started(tmp_path):
    with pytest.raises(StackError) as caught:
        running_store(tmp_path)
    assert caught.value.code == "stack-missing"
