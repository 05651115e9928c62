"""The artifact about drift that waits for a person: written when that begins and when it ends."""

from types import SimpleNamespace

import pytest

from tasks.retraining import showing
from tasks.retraining.showing import show_held_up, withdrawn_markdown


@pytest.fixture
def shown(monkeypatch):
    """Texts that were written, of which the server gives back the last."""
    texts = []
    standing = SimpleNamespace(get=lambda key: SimpleNamespace(data=texts[-1]) if texts else None)
    monkeypatch.setattr(showing, "Artifact", standing)
    monkeypatch.setattr(showing, "create_markdown_artifact", lambda markdown, **_: texts.append(markdown))
    monkeypatch.setattr(showing, "best_effort", lambda show: show())
    return texts


def test_it_says_what_to_do_once_and_that_it_is_over(shown):
    show_held_up("tiny", None, ())
    assert shown == [], "nothing waits, and nothing did"
    for _ in range(2):
        show_held_up("tiny", "tiny-1", ("b", "a"))
    (text,) = shown
    assert text.startswith("## Drift of tiny waits for the run tiny-1\n\na, b told of drift.")
    assert "`fedcart train --resume tiny-1`" in text
    assert "`fedcart runs cancel tiny-1`" in text
    show_held_up("tiny", "tiny-2", ("a",))
    for _ in range(2):
        show_held_up("tiny", None, ())
    assert [each.splitlines()[0] for each in shown[1:]] == [
        "## Drift of tiny waits for the run tiny-2",
        "## Drift of tiny waits for nobody",
    ]


def test_what_to_train_by_hand_is_the_recipe_that_is_touched():
    assert "`fedcart train --recipe FILE`, the file of tickets" in withdrawn_markdown(
        "tickets", 3, [SimpleNamespace(party="shop-a", leaves=False)]
    )
