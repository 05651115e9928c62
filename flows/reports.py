"""A run's report: the document that a command printed, kept beside the model with what only it measured."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmodels.errors import InputError
from infra.locations import runs_folder
from infra.whole_files import write_whole


class _Seconds(BaseModel):
    model_config = ConfigDict(strict=True)

    startup: float | None = None
    total: float | None = None


class _Report(BaseModel):
    """What of a report is read again; the rest stands in the bucket."""

    model_config = ConfigDict(strict=True)

    seconds: _Seconds = _Seconds()
    peak_pss_mb: float | None = None
    baselines: dict[str, dict[str, float] | None] | None = None


def write_report(home: Path, summary: dict[str, Any]) -> Path:
    """Keep the document beside the run's model; return its path."""
    path = _path(home, str(summary["run_id"]))
    write_whole(path, json.dumps(summary, indent=2))
    return path


def read_report(home: Path, run: str) -> dict[str, Any]:
    """What a command measured of a run (`seconds`, `peak_pss_mb`, `baselines`), or nothing.

    Raises:
        InputError: the report is damaged (`report-damaged`).
    """
    path = _path(home, run)
    if not path.exists():
        return {}
    try:
        report = _Report.model_validate_json(path.read_bytes())
    except ValidationError:
        raise InputError(f"The report {path} is damaged", fix="delete it", code="report-damaged") from None
    known = report.model_dump(exclude={"seconds"}) | {"seconds": report.seconds.model_dump(exclude_none=True)}
    return {name: value for name, value in known.items() if value}


def with_measured(summary: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """A run's document from the bucket, with what its report holds besides."""
    return {**summary, **kept, "seconds": {**summary["seconds"], **kept.get("seconds", {})}}


def _path(home: Path, run: str) -> Path:
    return runs_folder(home) / run / "report.json"
