"""Which rounds a withdrawal touches, and which notices count."""

import pytest

from fedmodels.errors import UpdateRefused
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import AcceptedUpdate, Signed
from fedmodels.protocol.withdrawal import (
    CountedRound,
    Touch,
    WithdrawalNotice,
    first_touched,
    last_untouched,
    leaving,
    notice_place,
    open_withdrawal,
    reason_of,
    told_before,
)


def notice(*places, party="shop-a", number=1, leaves=False, withdrawal="a" * 64):
    return WithdrawalNotice(
        party=party,
        recipe="tiny",
        number=number,
        leaves=leaves,
        withdrawal=withdrawal,
        receipts=tuple({"run": run, "round": n} for run, n in places),
    )


def update(party, earlier=None):
    return AcceptedUpdate(
        party=party,
        receipt_sha256="0" * 64,
        update_sha256="0" * 64,
        num_examples=1,
        weight=0.5,
        round=earlier,
    )


def rounds(*told):
    return [CountedRound(number, passed, updates) for number, (passed, updates) in enumerate(told, start=1)]


PLAYED = rounds(
    (True, [update("shop-b")]),
    (False, [update("shop-a")]),
    (True, [update("shop-b"), update("shop-a", 2)]),
    (True, [update("shop-a")]),
)


@pytest.mark.parametrize(
    ("named", "first"),
    [
        (notice(("run", 4)), 4),
        (notice(("run", 2)), 3),  # refused in its own round, and salvaged in the next
        (notice(("run", 3)), None),  # that update counted nowhere
        (notice(("other", 4)), None),
        (notice(("run", 1), party="shop-b"), 1),
        (notice(("run", 4), party="shop-c"), None),
    ],
)
def test_a_model_is_touched_from_the_first_passed_round_that_counts_the_update(named, first):
    assert first_touched(named, "run", PLAYED) == first


def test_the_last_model_that_never_saw_them():
    assert last_untouched(PLAYED, [3]) == 1
    assert last_untouched(PLAYED, [1]) is None
    assert last_untouched(PLAYED, []) == 4
    assert last_untouched([], [2]) is None


def test_the_same_rows_are_told_once_unless_there_is_a_further_receipt():
    first, second = notice(("run", 1)), notice(("run", 2), number=2)
    same = {"leaves": False, "withdrawal": "a" * 64}
    assert told_before([first], receipts=frozenset({("run", 1)}), **same) == first
    assert told_before([first], receipts=frozenset({("run", 2)}), **same) is None
    assert told_before([first, second], receipts=frozenset({("run", 1), ("run", 2)}), **same) == second
    other = {"leaves": False, "withdrawal": "b" * 64}
    assert told_before([first], receipts=frozenset({("run", 1)}), **other) is None
    assert told_before([], receipts=frozenset(), **same) is None


def test_a_notice_counts_only_signed_and_where_it_belongs():
    made = notice(("run", 1))
    signed = canonical_json(Signed(payload=canonical_json(made).decode(), signature="s"))

    def opened(envelope=signed, party="shop-a", place=("tiny", 1), holds=True):
        return open_withdrawal(envelope, party, place, lambda _notice, _payload, _signature: holds)

    assert opened() == made
    for changes in (
        {"envelope": b"{}"},
        {"envelope": signed + b" " * 5_000_000},
        {"party": "shop-b"},
        {"place": ("tiny", 2)},
        {"place": ("other", 1)},
        {"holds": False},
    ):
        with pytest.raises(UpdateRefused) as caught:
            opened(**changes)
        assert caught.value.code == "withdrawal-invalid"


def test_names_and_words():
    assert notice_place("tiny/0007.json") == ("tiny", 7)
    assert notice_place("tiny/7.json") is None
    assert notice_place("../0007.json") is None
    left = notice(party="shop-b", leaves=True)
    assert reason_of([notice(), left]) == "withdrawal: shop-a withdrew rows, shop-b left"
    assert leaving([notice(), left]) == {"shop-b"}
    mark = Touch(left, "run", 2).mark("tiny", 3)
    assert mark.in_words() == "learned, from round 2 of run on, from shop-b, which left"
