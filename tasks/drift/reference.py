"""The reference of a party: what fresh rows are held against, built once for each champion, and kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedmodels.errors import DataRefused, InputError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.words import counted
from infra.private_files import read_json, read_npz, write_json, write_npz
from tasks.drift.desk import DriftDesk
from tasks.drift.features import drift_policy, feature_kinds, measure_columns
from tasks.drift.released import Released
from tasks.party.kept_rows import TrainedRows, private_folder
from validation.drift.reference import FORMAT, Reference, build_reference, pack, reference_hash, unpack

if TYPE_CHECKING:
    from fedmodels.workbench import Workbench


@dataclass(frozen=True, repr=False)
class KeptReference:
    """A reference and its hash, which names values of rows: only the party may know it."""

    reference: Reference
    sha256: str
    built: bool
    """It was not there before."""


def find_reference(
    desk: DriftDesk,
    released: Released,
    rows: TrainedRows,
    model: "Callable[[], Workbench]",
) -> KeptReference:
    """The reference that is kept for this champion and these rows, or a new one, which is then kept.

    Equal champion, rows and section of the recipe give an equal reference: its draws are seeded by them.

    Raises:
        DataRefused: `drift-no-reference`: too few rows have a text of their own; or a feature's rows are too
            few, or cannot be used.
    """
    section = released.plan.recipe.drift
    named = [FORMAT, released.model_sha256, rows.name, section.model_dump(mode="json")]
    key = sha256_hex(canonical_json(named))
    kept = _read(desk, key)
    if kept is not None:
        return KeptReference(kept, reference_hash(kept), built=False)
    own = len(rows.train.rows)
    if own < section.min_rows:
        raise DataRefused(
            f"Of the {counted(rows.rows, 'row')} that party {desk.party} gave the champion, "
            f"{own} have a text that no other row has, and the tests need {section.min_rows}",
            fix="train on more rows, or on a table that holds each of them once",
            code="drift-no-reference",
        )
    rng = np.random.default_rng(int(key[:16], 16))
    columns = measure_columns(section, rows.train, rows.holdout, model, rng)
    kinds = feature_kinds(section, columns)
    reference = build_reference(columns, kinds, drift_policy(section), rng)
    left_out = {name: _kept_without(name) for name in section.columns if name not in columns}
    reference = replace(reference, left_out={**reference.left_out, **left_out})
    _write(desk, key, reference)
    return KeptReference(reference, reference_hash(reference), built=True)


def _kept_without(column: str) -> str:
    return f"Of the reference: the rows that the champion was trained on were kept without column {column}."


def _read(desk: DriftDesk, key: str) -> Reference | None:
    """What is damaged is built again."""
    folder = desk.folder / "references"
    document, arrays = read_json(folder / f"{key}.json"), read_npz(folder / f"{key}.npz")
    if document is None or arrays is None:
        return None
    try:
        reference = unpack(document, arrays)
    except InputError:
        return None
    return reference if reference_hash(reference) == document.get("sha256") else None


def _write(desk: DriftDesk, key: str, reference: Reference) -> None:
    """The document last: it vouches for the arrays beside it."""
    folder = private_folder(desk.folder / "references", desk.folder.parent.parent)
    document, arrays = pack(reference)
    write_npz(folder / f"{key}.npz", arrays)
    write_json(folder / f"{key}.json", {**document, "sha256": reference_hash(reference)})
