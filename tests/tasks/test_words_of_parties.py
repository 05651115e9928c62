"""What a party says of itself is repeated only where it may say it, and is shown as plain text."""

from types import SimpleNamespace

import pytest

from fedmodels.protocol.messages import Session
from fedmodels.words import plain
from tasks.coordinator.sessions import declined, standing_lease


def told(code: str, reason: str = "It has no key."):
    lease = Session(run="r", party="a", session="s", refusal=code, reason=reason)
    return declined(SimpleNamespace(declined={"a": lease}), "a")


def test_a_party_that_declines_keeps_its_code_and_reason():
    assert told("key-missing") == ("key-missing", "It has no key")
    assert declined(SimpleNamespace(declined={}), "a") is None


@pytest.mark.parametrize(
    ("code", "reason"), [("late", ""), ("changed-since", ""), ("No code", ""), ("key-missing", "x" * 2001)]
)
def test_a_party_that_declines_with_what_only_the_coordinator_says_is_malformed(code, reason):
    found, sentence = told(code, reason)
    assert found == "receipt-malformed"
    assert len(sentence) < 100


def test_somebody_elses_sentence_is_one_plain_line():
    assert plain("A table, with\n\n# 3 rows") == r"A table\, with \# 3 rows"
    assert plain("![x](http://y)<b>|`") == r"\!\[x\]\(http\:\/\/y\)\<b\>\|\`"


@pytest.mark.parametrize("found", [None, b"pickle", b"{}"])
def test_what_is_no_lease_counts_as_none(found):
    store = SimpleNamespace(read=lambda _key, _limit: found)
    assert standing_lease(SimpleNamespace(run="r", store=store), "a") is None
