"""The reference of a drift check: one profile a feature, and its form on disk.

A reference holds values of the party's rows (numbers, names of categories): it stays at the party.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import InputError
from validation.drift.categories import CategoryProfile, profile_categories
from validation.drift.columns import Values
from validation.drift.embeddings import EmbeddingProfile, profile_embeddings
from validation.drift.findings import Kind
from validation.drift.numbers import NumberProfile, profile_numbers
from validation.drift.outcomes import CalibrationProfile, LossProfile, profile_calibration, profile_losses
from validation.drift.policy import DriftPolicy
from validation.drift.texts import TextProfile, profile_texts

FORMAT = 2
Profile = NumberProfile | CategoryProfile | TextProfile | EmbeddingProfile | LossProfile | CalibrationProfile
Arrays = dict[str, NDArray[Any]]
_Profiler = Callable[[str, Values, DriftPolicy, np.random.Generator], Profile]

_PROFILERS: dict[Kind, _Profiler] = {
    "number": profile_numbers,
    "category": lambda name, values, policy, _: profile_categories(name, values, policy),
    "label": lambda name, values, policy, _: profile_categories(name, values, policy, "label"),
    "text": profile_texts,
    "embedding": profile_embeddings,
    "loss": lambda name, values, policy, _: profile_losses(name, values, policy),
    "calibration": lambda name, values, policy, _: profile_calibration(name, values, policy),
}
_CLASSES: dict[str, type[Any]] = {
    "number": NumberProfile,
    "category": CategoryProfile,
    "label": CategoryProfile,
    "text": TextProfile,
    "embedding": EmbeddingProfile,
    "loss": LossProfile,
    "calibration": CalibrationProfile,
}


@dataclass(frozen=True)
class Reference:
    """Profiles by feature."""

    profiles: Mapping[str, Profile]

    def __repr__(self) -> str:
        return f"Reference({len(self.profiles)} features)"


def build_reference(
    columns: Mapping[str, Values],
    kinds: Mapping[str, Kind],
    policy: DriftPolicy,
    rng: np.random.Generator,
) -> Reference:
    """Profile every column that `kinds` names; what stands beside them is left out.

    Args:
        columns: values by feature. Losses and calibration are those on rows that trained nothing.
        kinds: kind by feature.
        policy: bins, sample sizes, and the least rows of a feature.
        rng: draws the samples that are kept.

    Raises:
        InputError: `drift-no-features`, or `drift-feature-missing`: a feature has no column.
        DataRefused: a column cannot be used; its code says why.
    """
    if not kinds:
        raise InputError("No feature is watched for drift", fix="name some", code="drift-no-features")
    missing = sorted(kinds.keys() - columns.keys())
    if missing:
        raise InputError(
            f"The reference's rows have no column for {', '.join(missing)}",
            fix="name features that the table has",
            code="drift-feature-missing",
        )
    profiles = {name: _PROFILERS[kind](name, columns[name], policy, rng) for name, kind in kinds.items()}
    return Reference(profiles)


def pack(reference: Reference) -> tuple[dict[str, Any], Arrays]:
    """A reference as a document that JSON can hold, and the arrays that it names."""
    arrays: Arrays = {}
    features = {name: _pack(profile, _place(name), arrays) for name, profile in reference.profiles.items()}
    return {"format": FORMAT, "features": features}, arrays


def unpack(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Reference:
    """The reference that `pack` took apart.

    Raises:
        InputError: `drift-reference-damaged`: another format, or a part is missing or misshapen.
    """
    if document.get("format") != FORMAT:
        raise _damaged("is of another format")
    try:
        features: Mapping[str, Any] = document["features"]
        profiles = {name: _unpack(packed, arrays) for name, packed in features.items()}
    except (KeyError, TypeError, AttributeError):
        raise _damaged("lacks a part") from None
    return Reference(profiles)


def reference_hash(reference: Reference) -> str:
    """SHA-256 over all that a reference holds, in hexadecimal."""
    document, arrays = pack(reference)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _place(feature: str) -> str:
    """Where the arrays of a feature lie: a column `text/length` is not the length of `text`."""
    return feature.replace("%", "%25").replace("/", "%2F")


def _pack(profile: Any, place: str, arrays: Arrays) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for field in fields(profile):
        value = getattr(profile, field.name)
        if isinstance(value, np.ndarray):
            key = f"{place}/{field.name}"
            arrays[key] = value
            packed[field.name] = {"array": key}
        elif isinstance(value, NumberProfile):
            packed[field.name] = _pack(value, f"{place}/{field.name}", arrays)
        elif isinstance(value, tuple):
            packed[field.name] = [list(pair) for pair in value]
        else:
            packed[field.name] = value
    return packed


def _unpack(packed: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    values: dict[str, Any] = {}
    for name, value in packed.items():
        if isinstance(value, Mapping):
            values[name] = arrays[value["array"]] if "array" in value else _unpack(value, arrays)
        elif isinstance(value, list):
            values[name] = tuple((str(each), int(rows)) for each, rows in value)
        else:
            values[name] = value
    return _CLASSES[packed["kind"]](**values)


def _damaged(how: str) -> InputError:
    return InputError(
        f"The reference for drift {how}",
        fix="build it again from the data that the released model was trained on",
        code="drift-reference-damaged",
    )
