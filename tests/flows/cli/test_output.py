"""Tables: prose gives way on a narrow terminal, and no id, key or expectation is ever broken."""

import io

import pytest

from flows.cli import output
from flows.cli.output import LONGEST_WORD, fitted, print_table
from flows.cli.progress import byte_progress, run_progress
from flows.cli.train import show_summary

OUTSIDE = "[/] [red]stopped[/x] by [somebody] :smile:"
"""What others wrote, and rich would take for markup."""
KEY = "coordinator/runs/ten-parties-20261126-001733/rounds/0001/record.json"
PROSE = "its bytes are others than were written, and nobody says why"


@pytest.fixture
def printed(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)

    def on(rows, *, terminal, width=80):
        console = output.plain_console(
            file=io.StringIO(), force_terminal=terminal, color_system=None, width=width
        )
        monkeypatch.setattr(output, "console", console)
        print_table("Objects of ten-parties-20261126-001733", [("object", "left"), ("detail", "left")], rows)
        return console.file.getvalue()

    return on


def test_widths_are_taken_from_the_widest_column_down_to_its_longest_word():
    assert fitted([(5, 5), (4, 20), (6, 10)], 0) == [5, 20, 10]
    assert fitted([(5, 5), (4, 20), (6, 10)], 12) == [5, 9, 9]
    assert fitted([(5, 5), (4, 20), (6, 10)], 99) == [5, 4, 6]


def test_a_table_that_fits_is_as_wide_as_its_cells(printed):
    shown = printed([("a", "b"), (None, 3)], terminal=True)
    assert [line.split() for line in shown.splitlines() if line.strip()][1:] == [
        ["object", "detail"],
        ["─" * len("object  detail ")],
        ["a", "b"],
        ["–", "3"],
    ]


@pytest.mark.parametrize("width", [120, 80, 40])
def test_on_a_narrow_terminal_prose_wraps_and_keys_are_whole(printed, width):
    shown = printed([(KEY, PROSE)], terminal=True, width=width)
    assert KEY in shown
    lines = shown.splitlines()[1:]
    assert all(len(line) <= width for line in lines if KEY not in line)
    assert set(PROSE.split()) <= set(shown.split())
    if width > len("object  ") + len(KEY):
        assert max(map(len, shown.splitlines())) <= width


def test_a_row_without_room_for_its_words_is_a_block(printed):
    rows = [(KEY, PROSE + ", " + "x" * 20), ("b", None)]
    lines = [line.rstrip() for line in printed(rows, terminal=True, width=80).splitlines()]
    assert lines[1:3] == ["", f"object  {KEY}"]
    assert lines[3].startswith("detail  its bytes are others")
    assert lines[-4:] == ["", "object  b", "detail  –", ""]
    assert max(map(len, lines)) <= 80


def test_columns_bind_a_pipe_as_well(printed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = printed([("a", PROSE)] * 2, terminal=False, width=60)
    assert max(len(line) for line in shown.splitlines()) <= 60


@pytest.mark.parametrize(("terminal", "lines"), [(True, 2), (False, 1)])
def test_a_sentence_is_folded_where_lines_have_to_end(monkeypatch, terminal, lines):
    monkeypatch.delenv("COLUMNS", raising=False)
    console = output.plain_console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=40)
    monkeypatch.setattr(output, "console", console)
    output.print_sentence(f"round 1: {PROSE[:40]} [x]")
    shown = console.file.getvalue()
    assert shown.split() == f"round 1: {PROSE[:40]} [x]".split()
    assert len(shown.splitlines()) == lines


def test_on_a_pipe_every_row_is_one_line(printed):
    shown = printed([(KEY, PROSE), ("x", "[not markup] :smile:")], terminal=False)
    assert any(KEY in line and PROSE in line for line in shown.splitlines())
    assert "[not markup] :smile:" in shown


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("progress", [run_progress, byte_progress])
def test_nothing_of_a_bar_stays_above_an_error_or_gets_onto_a_pipe(monkeypatch, terminal, progress):
    notes = output.plain_console(file=io.StringIO(), force_terminal=terminal, width=80)
    monkeypatch.setattr("flows.cli.progress.notes", notes)
    with pytest.raises(ValueError, match="wrong"), progress("nope"):
        raise ValueError("wrong")
    shown = notes.file.getvalue()
    assert shown.endswith("\x1b[2K") if terminal else shown == ""


@pytest.fixture
def narrow(monkeypatch):
    """What is printed to a terminal of 40 columns."""
    file = io.StringIO()
    monkeypatch.setattr(
        output, "console", output.plain_console(width=40, file=file, force_terminal=True, color_system=None)
    )
    return file


def test_no_identifier_is_broken_however_narrow_the_terminal(narrow):
    row = ("my-reviews", "my-reviews-20260301-020000-53ec", "53ec3d56396b", "waits [now] for a person")
    print_table("Releases", [(name, "left") for name in ("recipe", "run", "model", "standing")], [row])
    words = narrow.getvalue().split()
    assert set(row[:3]) <= set(words)
    assert words[-5:] == ["waits", "[now]", "for", "a", "person"]


def test_a_column_may_stay_on_one_line_and_what_is_no_identifier_is_folded(narrow):
    print_table(
        "Deployed", [("when", "left"), ("what", "left")], [("0 2 * * *", "x" * 2 * LONGEST_WORD)], ["when"]
    )
    text = narrow.getvalue()
    assert "0 2 * * *" in text
    assert text.count("x") == 2 * LONGEST_WORD
    assert max(map(len, text.splitlines())) <= 40


def test_what_others_wrote_is_printed_as_it_is(capsys):
    output.warn(OUTSIDE)
    output.step(OUTSIDE)
    output.print_sentence(OUTSIDE)
    output.print_key(OUTSIDE)
    output.explain_interruption(OUTSIDE, as_json=False)
    with output.working(OUTSIDE):
        output.console.print(OUTSIDE, soft_wrap=True)
        output.notes.print(OUTSIDE, soft_wrap=True)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [OUTSIDE] * 3
    assert printed.err.splitlines() == [f"warning {OUTSIDE}", f"· {OUTSIDE}", OUTSIDE, OUTSIDE]


@pytest.mark.parametrize("progress", [run_progress, byte_progress])
def test_a_bar_shows_what_others_wrote_as_it_is(monkeypatch, progress):
    notes = output.plain_console(file=io.StringIO(), force_terminal=True, color_system=None, width=120)
    monkeypatch.setattr("flows.cli.progress.notes", notes)
    with progress(OUTSIDE):
        pass
    assert OUTSIDE in notes.file.getvalue()


def test_a_run_with_brackets_in_its_reason_can_be_shown(capsys):
    summary = {
        "run_id": "run-1",
        "rounds": [],
        "final": None,
        "status": "cancelled",
        "model_sha256": 64 * "a",
        "reason": OUTSIDE,
        "best_round": 0,
    }
    show_summary(summary)
    assert f"cancelled: {OUTSIDE}. Kept model aaaaaaaaaaaa: no round passed." in capsys.readouterr().out
