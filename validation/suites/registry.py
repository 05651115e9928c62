"""Which suites a contract has, by its kind of data. A further kind adds one entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmodels.contract_schema import Contract
from fedmodels.recipe import DataConfig
from validation.suites.labelled_text import Engine, Part, labelled_text_suite

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

BuildSuite = Callable[[Sequence[str], DataConfig, Contract, Part, Engine], "ExpectationSuite"]


@dataclass(frozen=True)
class ContractKind:
    """The suites for one kind of data."""

    parts: tuple[Part, ...]
    """The parts of a party's data, in the order in which they are checked."""
    build: BuildSuite
    """Builds the suite of a part from classes, data section and contract, for an engine."""


KINDS: dict[str, ContractKind] = {
    "labelled-text": ContractKind(("train", "holdout", "facts", "labels"), labelled_text_suite)
}


def kind_of(contract: Contract) -> ContractKind:
    """The suites for a recipe's contract."""
    return KINDS[contract.kind]
