"""The report of a run as a folder: a page for people, and flat tables from which anything draws its rounds.

    report.md            rounds, what the gate said, the parties of each round
    rounds.json          one row a round: the model's scores on the coordinator's validation set
    parties/PARTY.json   one row a round: the candidate's scores on that party's own holdout

The same run gives the same bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fedmodels.errors import InputError
from fedmodels.protocol.messages import Metrics
from fedmodels.protocol.pages import party_rows, round_rows, run_page
from infra.whole_files import check_folder_target, whole_folder
from tasks.reading import RunMessages

PAGE = "report.md"
ROUNDS = "rounds.json"


class _Scored(Metrics):
    """A set's scores, and what else `fedcart evaluate` says of it."""

    model_config = ConfigDict(extra="ignore")


def check_report_target(folder: Path) -> None:
    """See that `write_run_report` could write to `folder`.

    Raises:
        InputError: something else than a report stands there (`folder-taken`), or it cannot be made
            (`target-unusable`).
    """
    check_folder_target(folder, (PAGE, ROUNDS), "report")


def write_run_report(folder: Path, played: RunMessages, scored: Mapping[str, Metrics] | None = None) -> None:
    """Make the folder, whole or not at all, in the place of a report that stands there.

    Args:
        folder: of the report.
        played: the run.
        scored: scores of the kept model by set, of `read_scores`; they go onto the page.
    """
    check_report_target(folder)
    with whole_folder(folder) as part:
        page = run_page(played.plan, played.records, played.closed, scored)
        (part / PAGE).write_text(page, encoding="utf-8")
        _write_rows(part / ROUNDS, round_rows(played.records))
        (part / "parties").mkdir()
        for party, rows in party_rows(played.records).items():
            _write_rows(part / "parties" / f"{party}.json", rows)


def read_scores(path: Path) -> dict[str, Metrics]:
    """What `fedcart evaluate --out` wrote.

    Raises:
        InputError: it is missing, or is no such document (`scores-invalid`).
    """
    try:
        return dict(TypeAdapter(dict[str, _Scored]).validate_json(path.read_bytes()))
    except (OSError, ValidationError):
        raise InputError(
            f"{path} holds no scores",
            fix="make it with fedcart evaluate RUN --out FILE",
            code="scores-invalid",
        ) from None


def _write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
