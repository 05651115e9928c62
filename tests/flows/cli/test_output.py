"""Tables for people: what is narrow breaks no identifier."""

import io

import pytest
from rich.console import Console

from flows.cli import output
from flows.cli.output import LONGEST_WORD, print_table


@pytest.fixture
def printed(monkeypatch):
    """What is printed to a terminal of 40 columns."""
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(width=40, file=file))
    return file


def test_no_identifier_is_broken_however_narrow_the_terminal(printed):
    row = ("my-reviews", "my-reviews-20260301-020000-53ec", "53ec3d56396b", "waits [now] for a person")
    print_table("Releases", [(name, "left") for name in ("recipe", "run", "model", "standing")], [row])
    words = printed.getvalue().split()
    assert set(row[:3]) <= set(words)
    assert words[-5:] == ["waits", "[now]", "for", "a", "person"]


def test_a_column_may_stay_on_one_line_and_what_is_no_identifier_is_folded(printed):
    print_table(
        "Deployed", [("when", "left"), ("what", "left")], [("0 2 * * *", "x" * 2 * LONGEST_WORD)], ["when"]
    )
    text = printed.getvalue()
    assert "0 2 * * *" in text
    assert text.count("x") == 2 * LONGEST_WORD
    assert max(map(len, text.splitlines())) <= 40
