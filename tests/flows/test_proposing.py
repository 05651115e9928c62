"""Which release a proposal came to: the one that it began, or the one that it found."""

from types import SimpleNamespace

import pytest

from flows.proposing import release_of

A, B = "a" * 64, "b" * 64


def view(number: int, ticket: str, model: str, standing: str):
    request = SimpleNamespace(release=number, ticket=ticket, model_sha256=model)
    return SimpleNamespace(request=request, standing=standing)


VIEWS = [
    view(1, "flow-1", A, "champion"),
    view(2, "flow-2", A, "rejected"),
    view(3, "flow-3", B, "checks failed"),
    view(4, "flow-4", B, "awaiting approval"),
]


@pytest.mark.parametrize(
    ("flow_run", "model", "number"),
    [
        ("flow-3", B, 3),
        ("flow-9", A, 1),
        ("flow-9", B, 4),
        ("flow-9", "c" * 64, None),
        ("flow-9", "", None),
    ],
    ids=["its own", "the champion's", "the latest of its model", "of another model", "of an open run"],
)
def test_a_proposal_finds_its_release(flow_run, model, number):
    found = release_of(VIEWS, flow_run, model)
    assert (found.request.release if found else None) == number
