"""What came of a case, and what a run counted."""

from dataclasses import dataclass

from fedmodels.protocol.messages import Decision
from infra.layout import round_key
from infra.object_store import ObjectStore
from tasks.exchange import read_message
from tests.faults.cases import Case
from tests.faults.recipes import PARTIES
from tests.faults.scenes import Alike

Accepted = tuple[tuple[tuple[str, float], ...], ...]
"""The parties that each round's decision counts, with their weights."""


@dataclass(frozen=True)
class Row:
    """What came of a case. `happened`: the store shows the side effect, `after`, and `before` does not."""

    case: Case
    fired: bool
    happened: bool
    survived: bool
    equal_hash: bool
    compared_with: str
    resumes: int
    seconds: float
    together: int
    """Cases that shared the run."""
    why: str = ""

    @property
    def passed(self) -> bool:
        return self.fired and self.happened and self.survived and self.equal_hash

    @property
    def proves_nothing(self) -> bool:
        """Whether the run was flawless, and never came to the case's point."""
        return self.survived and self.equal_hash and not self.fired

    def document(self) -> dict[str, object]:
        point = self.case.point
        return {
            "side": point.side,
            "step": point.step,
            "effect": point.effect,
            "action": self.case.action,
            "when": self.case.when,
            "fired": self.fired,
            "happened": self.happened,
            "survived": self.survived,
            "equal_hash": self.equal_hash,
            "compared_with": self.compared_with,
            "resumes": self.resumes,
            "seconds": self.seconds,
            "together": self.together,
            "why": self.why,
        }


def accepted(store: ObjectStore, run: str) -> Accepted:
    """What the decisions of a run count, round by round."""
    found: list[tuple[tuple[str, float], ...]] = []
    while decision := read_message(store, round_key(run, len(found) + 1, "decision"), Decision):
        found.append(tuple((update.party, update.weight) for update in decision.accepted))
    return tuple(found)


def names_of(counted: Accepted) -> tuple[tuple[str, ...], ...]:
    """The same without weights."""
    return tuple(tuple(party for party, _ in decided) for decided in counted)


def compared_with(counted: Accepted, alike: Alike) -> str:
    """Which run without a fault it is: one of the same scene, or one in which these parties sit out."""
    if alike == "same scene":
        return "the same scene without a fault"
    without = [
        f"{party} in round {number}"
        for number, names in enumerate(names_of(counted), start=1)
        for party in PARTIES
        if party not in names
    ]
    return f"the run without a fault{' and without ' if without else ''}{', '.join(without)}"
