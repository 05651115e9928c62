"""The time of a table's newest row."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path

from fedmodels.data.columns import Reading, column_batches
from fedmodels.errors import FedcartError
from fedmodels.spelling import clean_label


def newest_time(
    paths: Iterable[Path], column: str, *, error: type[FedcartError], label: str | None = None
) -> datetime | None:
    """The latest time that any of a party's tables holds in a column; `None` when none has one.

    A time is a timestamp or a date of Parquet, or a string by ISO 8601; without a zone it is UTC. Rows
    without one are passed over. A part of the rows at a time is in memory.

    Args:
        paths: the party's tables.
        column: name of the column, the same in each.
        error: class of what is raised.
        label: name of the column of labels, where only rows with a label count.

    Raises:
        FedcartError: of class `error`: a table is missing or damaged, has no such column, or holds there
            what is no time.
    """
    newest: datetime | None = None
    for path in paths:
        reading = Reading(path, (column, label or column), "The party's table", error)
        for values, labels in column_batches(reading):
            for value, its_label in zip(values, labels, strict=True):
                if label is not None and not clean_label(its_label):
                    continue
                moment = _moment(value, reading)
                if moment is not None and (newest is None or moment > newest):
                    newest = moment
    return newest


def _moment(value: object, reading: Reading) -> datetime | None:
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    moment: datetime | None = None
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, datetime):  # of pandas as well
            moment = value
        elif isinstance(value, date):
            moment = datetime.combine(value, time.min)
    except ValueError:
        moment = None
    if moment is None:
        raise reading.fault(
            f"has a value in column {reading.columns[0]!r} that is no time",
            "store timestamps, dates or ISO 8601 strings",
            "table-time-type",
        )
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
