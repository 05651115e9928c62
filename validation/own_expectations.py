"""What a party expects of its own tables, beyond the recipe: its `expectations.yaml`.

    expectations:
      - type: expect_column_values_to_be_between
        kwargs: {column: stars, min_value: 1, max_value: 5}
        severity: warning     # critical, which is the default, keeps the party out
        table: train          # or holdout

They are said of the party's tables as they are stored, with every column, before anything is cleaned. The
file stays with the party, and so do its columns: what travels is the type, the severity and the verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedmodels.contract_schema import Severity
from fedmodels.document_faults import describe_faults
from fedmodels.errors import InputError
from fedmodels.yaml_text import YamlFault, read_yaml
from validation.suites.labelled_text import severity_of

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

OwnTable = Literal["train", "holdout"]
FILE = "expectations.yaml"
OF_ANOTHER_PLACE = frozenset(
    {
        "expect_query_results_to_match_comparison",
        "expect_table_row_count_to_equal_other_table",
        "unexpected_rows_expectation",
    }
)
"""Types that query something else than the party's table."""
_BY_A_PATTERN = "use expect_column_values_to_match_regex"
_BY_A_BOUND = (
    "use expect_column_values_to_be_between for numbers, expect_column_values_to_match_regex for texts"
)
_BY_A_FIELD = "store the fields that matter as columns of their own, and say what holds of these"
_BY_A_PAIR = (
    "store the value of the row before as a column, and use expect_column_pair_values_a_to_be_greater_than_b"
)
NOT_ALIKE: Mapping[str, str] = {
    "expect_column_type_to_be": _BY_A_BOUND,
    "expect_column_values_to_be_dateutil_parseable": _BY_A_PATTERN,
    "expect_column_values_to_be_decreasing": _BY_A_PAIR,
    "expect_column_values_to_be_in_type_list": _BY_A_BOUND,
    "expect_column_values_to_be_increasing": _BY_A_PAIR,
    "expect_column_values_to_be_json_parseable": _BY_A_FIELD,
    "expect_column_values_to_be_of_type": _BY_A_BOUND,
    "expect_column_values_to_match_json_schema": _BY_A_FIELD,
    "expect_column_values_to_match_like_pattern": _BY_A_PATTERN,
    "expect_column_values_to_match_like_pattern_list": "use expect_column_values_to_match_regex_list",
    "expect_column_values_to_match_strftime_format": _BY_A_PATTERN,
    "expect_column_values_to_not_match_like_pattern": "use expect_column_values_to_not_match_regex",
    "expect_column_values_to_not_match_like_pattern_list": "use expect_column_values_to_not_match_regex_list",
}
"""Types that not every engine evaluates, or each by its own names of types; and what says the same."""
_ABOUT_COLUMNS = frozenset(
    {
        "expect_column_to_exist",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
    }
)
"""Types to which a missing column is a finding, and no fault of the file."""
_SETTINGS = frozenset({"severity", "result_format", "catch_exceptions", "id", "batch_id", "rendered_content"})
"""What an expectation of Great Expectations takes besides, and the file does not say in `kwargs`."""

_PARAMETER = "$PARAMETER"
"""Key with which Great Expectations leaves a value open until a suite is run, by whoever runs it."""


class OwnExpectation(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(min_length=1)
    kwargs: dict[str, Any] = Field({})
    severity: Severity = "critical"
    table: OwnTable = "train"


class OwnExpectations(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expectations: tuple[OwnExpectation, ...]

    def of(self, table: OwnTable) -> list[tuple[int, OwnExpectation]]:
        """The entries for a table, each with its number in the file, from 1."""
        return [(number, own) for number, own in enumerate(self.expectations, start=1) if own.table == table]


def read_own_expectations(path: Path) -> OwnExpectations:
    """Read the file; whether Great Expectations has such expectations is seen when the suite is built.

    Raises:
        InputError: the file is missing, no YAML, or of another form, or leaves a value open; names neither
            path nor value.
    """
    try:
        own = OwnExpectations.model_validate(read_yaml(path))
    except OSError:
        raise InputError(
            f"The party's {FILE} cannot be read",
            fix="correct its path in the party's settings, or its rights",
            code="expectations-missing",
        ) from None
    except YamlFault as fault:
        raise InputError(
            f"The party's {FILE} is {fault}", fix=fault.fix, code="expectations-invalid"
        ) from None
    except ValidationError as error:
        raise InputError(
            f"The party's {FILE} has {describe_faults(error, OwnExpectations, quote=False)}",
            fix="correct it",
            code="expectations-invalid",
        ) from None
    for number, entry in enumerate(own.expectations, start=1):
        if _holds_parameter(entry.kwargs):
            raise InputError(
                f"Expectation {number} of the party's {FILE} has an argument that is a {_PARAMETER}, "
                "and nothing here gives it a value",
                fix="write the value itself",
                code="expectation-arguments",
            )
    return own


def _holds_parameter(arguments: Any) -> bool:
    """Whether a key, however deep, asks for a value that Great Expectations takes at run time."""
    waiting, seen = [arguments], set[int]()  # YAML's aliases may make one part stand in many places
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if any(isinstance(key, str) and key.startswith(_PARAMETER) for key in part):
                return True
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part
    return False


def own_suite(own: OwnExpectations, table: OwnTable, columns: Sequence[str]) -> "ExpectationSuite":
    """The party's expectations on one of its tables.

    Args:
        own: the party's file.
        table: which table.
        columns: the columns that this table has.

    Raises:
        InputError: Great Expectations has no such type, or not every engine evaluates it; the arguments are
            not those of the type, or the table has no such column. The sentence names the entry by its
            number, and neither a column of the party's nor a value.
    """
    import great_expectations as gx

    expectations = [_expectation(number, entry, columns) for number, entry in own.of(table)]
    return gx.ExpectationSuite(name=f"own_{table}", expectations=expectations)


def _expectation(number: int, own: OwnExpectation, columns: Sequence[str]) -> "Expectation":
    from great_expectations.exceptions import ExpectationNotFoundError, GreatExpectationsError
    from great_expectations.expectations.registry import get_expectation_impl

    where = f"Expectation {number} of the party's {FILE}"
    try:
        implementation = get_expectation_impl(own.type)
    except ExpectationNotFoundError:
        implementation = None
    if implementation is None or own.type in OF_ANOTHER_PLACE:
        raise InputError(
            f"{where} has the type {own.type[:80]!r}, which is none that can be checked here",
            fix="use a type of Great Expectations, such as expect_column_values_to_be_between",
            code="expectation-unknown",
        )
    if own.type in NOT_ALIKE:
        raise InputError(
            f"{where} has the type {own.type!r}, which the engines that check a party's tables do not "
            "evaluate alike",
            fix=NOT_ALIKE[own.type],
            code="expectation-engine",
        )
    _refuse_arguments(where, own, set(own.kwargs) & _SETTINGS)
    try:
        built: Expectation = implementation(**own.kwargs, severity=severity_of(own.severity))
    except (ValueError, TypeError, GreatExpectationsError) as error:
        raise _wrong_arguments(where, own, error) from None
    missing = [name for name in _columns_of(own) if name not in columns]
    if missing and own.type not in _ABOUT_COLUMNS:
        raise InputError(
            f"{where} ({own.type}) names a column that the party's {own.table} table does not have",
            fix="name a column of the table, as it is spelt there",
            code="expectation-column-missing",
        )
    return built


def _columns_of(own: OwnExpectation) -> Iterable[str]:
    for key in ("column", "column_A", "column_B"):
        if isinstance(name := own.kwargs.get(key), str):
            yield name
    if isinstance(names := own.kwargs.get("column_list"), list):
        yield from (name for name in names if isinstance(name, str))


def _refuse_arguments(where: str, own: OwnExpectation, unknown: Iterable[str]) -> None:
    if names := sorted(unknown):
        raise InputError(
            f"{where} ({own.type}) has the unknown argument {names[0][:80]!r}",
            fix="see the arguments of this type in the documentation of Great Expectations",
            code="expectation-arguments",
        )


def _wrong_arguments(where: str, own: OwnExpectation, error: Exception) -> InputError:
    """By what pydantic, inside Great Expectations, says of an argument; its own message may quote a value."""
    faults: list[dict[str, Any]] = getattr(error, "errors", list)()
    named = {str(fault["loc"][0]): str(fault["type"]) for fault in faults if fault["loc"]}
    by_kind = {
        "has the unknown argument": [name for name, kind in named.items() if kind == "value_error.extra"],
        "lacks the argument": [name for name, kind in named.items() if kind == "value_error.missing"],
        "has a wrong value for the argument": [name for name in named if name != "__root__"],
    }
    clauses = [f"{words} {names[0][:80]!r}" for words, names in by_kind.items() if names]
    said = clauses[0] if clauses else "has arguments that do not go together"
    return InputError(
        f"{where} ({own.type}) {said}",
        fix="see the arguments of this type in the documentation of Great Expectations",
        code="expectation-arguments",
    )
