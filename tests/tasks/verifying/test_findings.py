"""Two hashes that differ are never shown alike."""

from fedmodels.protocol.agreement import _told_apart
from tasks.verifying.findings import told_apart

ONE, LIKE_IT, OTHER = "5" * 64, "5" * 63 + "6", "a" * 64


def test_hashes_are_cut_where_that_shows_the_difference_and_whole_otherwise():
    assert told_apart(ONE, OTHER) == ("5" * 12 + "…", "a" * 12 + "…")
    assert told_apart(ONE, LIKE_IT) == (ONE, LIKE_IT)
    assert told_apart(ONE, None) == ("5" * 12 + "…", "none")


def test_so_are_the_values_of_a_message():
    assert _told_apart(ONE, OTHER) == "555555555555…, not aaaaaaaaaaaa…"
    assert _told_apart(ONE, LIKE_IT) == f"{ONE}, not {LIKE_IT}"
    assert _told_apart(1, 2) == "1, not 2"
