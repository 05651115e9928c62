"""The recipe's section `drift`: what parties watch, what counts as drift, and what it takes to train again.

Only numbers, so that they travel with the plan; `validation/drift` says what each of them means.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from fedmodels.identifiers import PrintableName
from fedmodels.section import NonNegative, PositiveFloat, Section, Share

WatchedFeature = Literal["text", "label", "embedding", "loss", "calibration"]
"""What labelled text and the released model have in any recipe."""
WATCHED: tuple[WatchedFeature, ...] = get_args(WatchedFeature)


class DriftBounds(Section):
    """Least effect of each measure that counts; the units are those of `validation/drift/policy.py`."""

    psi: NonNegative = 0.2
    ks: NonNegative = 0.2
    wasserstein: NonNegative = 0.5
    missing: NonNegative = 0.1
    new_category: NonNegative = 0.05
    label_shift: NonNegative = 0.1
    out_of_vocabulary: NonNegative = 0.1
    embedding: NonNegative = 0.03
    loss: NonNegative = 0.2
    calibration: NonNegative = 0.05


class DriftSection(Section):
    """When fresh rows differ so much from those of the released model that it is trained again.

    `columns` names further columns of the parties' tables, as numbers or categories. A party leaves a
    notice when a feature drifted in `needed` of the last `of` checks that share few rows. A retraining
    begins when `quorum` parties have left one that is at most `max_notice_age` seconds old, they have
    `min_new_rows` labelled rows between them that the champion has not met, no run of the recipe is open,
    and no retraining of it began in the last `cool_down` seconds: trainings by schedule or by hand do not
    count for that.
    """

    enabled: bool = True
    features: tuple[WatchedFeature, ...] = WATCHED
    columns: dict[PrintableName, Literal["number", "category"]] = Field({})
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    min_rows: int = Field(100, ge=20)
    design_effect: Annotated[float, Field(ge=1.0)] = 1.0
    bounds: DriftBounds = DriftBounds()
    needed: int = Field(3, ge=1)
    of: int = Field(4, ge=1)
    most_overlap: Share = 0.5
    quorum: int = Field(1, ge=1)
    min_new_rows: int = Field(100, ge=0)
    cool_down: NonNegative = 86_400.0
    max_notice_age: PositiveFloat = 86_400.0

    @field_validator("features")
    @classmethod
    def _each_once(cls, features: tuple[WatchedFeature, ...]) -> tuple[WatchedFeature, ...]:
        if repeated := sorted({name for name in features if features.count(name) > 1}):
            raise ValueError(f"names {', '.join(repeated)} more than once")
        return features

    @model_validator(mode="after")
    def _fits_together(self) -> "DriftSection":
        faults = []
        if self.needed > self.of:
            faults.append(f"needed is {self.needed}, more than the {self.of} checks of `of`")
        if self.most_overlap >= 1.0:
            faults.append(f"most_overlap is {self.most_overlap:g}, not below 1")
        if taken := sorted(set(self.columns) & set(WATCHED)):
            faults.append(f"columns names {', '.join(taken)}, which are features of their own")
        if self.enabled and not (self.features or self.columns):
            faults.append("features and columns are both empty, which watches nothing")
        if faults:
            raise ValueError("; ".join(faults))
        return self
