"""The reference of a drift check: one profile a feature, and its form on disk.

A reference holds values of the party's rows (numbers, names of categories): it stays at the party.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import DataRefused, InputError
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
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By feature, a sentence on why its column could not be profiled: it was hardly filled, say."""

    def __repr__(self) -> str:
        return f"Reference({len(self.profiles)} features)"


def build_reference(
    columns: Mapping[str, Values],
    kinds: Mapping[str, Kind],
    policy: DriftPolicy,
    rng: np.random.Generator,
) -> Reference:
    """Profile every column that `kinds` names; what stands beside them is left out.

    A column that cannot be used is noted in `left_out`, and the others are profiled.

    Args:
        columns: values by feature. Losses and calibration are those on rows that trained nothing.
        kinds: kind by feature.
        policy: bins, sample sizes, and the least rows of a feature.
        rng: draws the samples that are kept.

    Raises:
        InputError: `drift-no-features`, or `drift-feature-missing`: a feature has no column.
        DataRefused: no column can be used; the code says why the first cannot.
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
    profiles, refused = dict[str, Profile](), dict[str, DataRefused]()
    for name, kind in kinds.items():
        try:
            profiles[name] = _PROFILERS[kind](name, columns[name], policy, rng)
        except DataRefused as error:
            refused[name] = error
    if not profiles:
        raise next(iter(refused.values()))
    return Reference(
        profiles, {name: f"Of the reference: {_clause(error)}." for name, error in refused.items()}
    )


def _clause(error: DataRefused) -> str:
    return error.sentence[:1].lower() + error.sentence[1:]


def pack(reference: Reference) -> tuple[dict[str, Any], Arrays]:
    """A reference as a document that JSON can hold, and the arrays that it names."""
    arrays: Arrays = {}
    features = {name: _pack(profile, _place(name), arrays) for name, profile in reference.profiles.items()}
    document: dict[str, Any] = {"format": FORMAT, "features": features}
    if reference.left_out:  # others keep their hash
        document["left_out"] = dict(reference.left_out)
    return document, arrays


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
        left_out = dict(document.get("left_out", {}))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _damaged("lacks a part") from None
    return Reference(profiles, left_out)


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
    for each in fields(profile):
        value = getattr(profile, each.name)
        if isinstance(value, np.ndarray):
            key = f"{place}/{each.name}"
            arrays[key] = value
            packed[each.name] = {"array": key}
        elif isinstance(value, NumberProfile):
            packed[each.name] = _pack(value, f"{place}/{each.name}", arrays)
        elif isinstance(value, tuple):
            packed[each.name] = [list(pair) for pair in value]
        else:
            packed[each.name] = value
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
