"""The recipe: one YAML file that says everything reproducible about a training.

Places and secrets are settings (`infra/settings.py`); no value lives in both. Every default below is
written into the run's `plan.json`, so that a plan alone repeats a training.
"""

from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fedmodels.contract_schema import KIND_OF, Contract, LabelledTextContract
from fedmodels.document_faults import fault_of_place, with_fault
from fedmodels.drift_section import DriftSection
from fedmodels.identifiers import COORDINATOR, Identifier
from fedmodels.section import NonNegative, PositiveFloat, Section, Share
from fedmodels.spelling import clean_label
from fedmodels.words import counted

SALVAGING_STRATEGIES = frozenset({"fedavg"})
"""Strategies whose update still means something in the next round. One with control variates of its own
round, or masks that only that round's cohort can take off, does not belong here."""


HUB_ID = r"\w[\w.-]*(/\w[\w.-]*)?"
"""What the id of a model on a hub looks like: `./name` is none."""


class ModelConfig(Section):
    """The transformer that is trained.

    `source` is `package:NAME` (weights from a pinned package), a local folder, or a hub id. With
    `init: random` the weights are drawn from `seed`, the tokenizer still comes from `source`, and
    `config` overrides fields of the architecture (`hidden_size`, `num_hidden_layers`, ...).
    """

    source: str = Field("package:all-minilm-l6-v2", min_length=1)
    init: Literal["pretrained", "random"] = "pretrained"
    max_length: int = Field(64, ge=4, le=8192)
    config: dict[str, int | float | str | bool] = Field({})

    @model_validator(mode="after")
    def _overrides_need_random_weights(self) -> Self:
        if self.config and self.init == "pretrained":
            raise ValueError("config changes the architecture, which needs init: random")
        return self


class PartyData(Section):
    """Where one party's rows come from: its own table, or its part of a packaged source.

    Tables are Parquet or CSV. Without `holdout`, `holdout_share` of the rows is split off by a stable
    hash of the text. `groups` selects groups of a packaged source, as inclusive ranges: `["1-99"]`.
    """

    train: str | None = None
    holdout: str | None = None
    groups: tuple[Annotated[str, Field(pattern=r"^\d+(-\d+)?$", examples=["7", "1-99"])], ...] = ()

    @model_validator(mode="after")
    def _holdout_needs_train(self) -> Self:
        if self.holdout and not self.train:
            raise ValueError("holdout is given without train")
        return self


SETS = ("public", "validation", "holdout")
"""The coordinator's own rows: they fine-tune, decide, and are scored without deciding anything."""


class CoordinatorData(Section):
    """The coordinator's own rows: one `table` to split, or three files, or groups kept from a source.

    With a `table`, `shares` splits its rows by a stable hash into `public` (fine-tunes), `validation`
    (decides) and `holdout` (is scored and never decides). With a packaged source, whole groups are
    drawn until each share of **all** rows is filled, and no party gets a row of them.
    """

    table: str | None = None
    public: str | None = None
    validation: str | None = None
    holdout: str | None = None
    shares: tuple[Share, Share, Share] = (0.3, 0.3, 0.4)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        files = [self.public, self.validation, self.holdout]
        if self.table and any(files):
            raise ValueError("give either table or public, validation and holdout, not both")
        if any(files) and not (self.validation and self.holdout):
            raise ValueError("validation and holdout are both needed when files are named")
        if sum(self.shares) > 1.0 + 1e-9:
            raise ValueError(f"shares sum to {sum(self.shares):g}, which is more than 1")
        return self


_YAML_WORDS: dict[object, str] = {True: "true", False: "false", None: "null"}


def _ambiguous(labels: tuple[str, ...]) -> list[str]:
    """A fault for each label that rows could not be told by: it is blank, or another one in other words."""
    faults, first = [], dict[str, str]()
    for label in labels:
        clean = clean_label(label)
        if not clean:
            faults.append(f"labels has {label!r}, which is blank")
        elif clean in first:
            faults.append(f"labels has {first[clean]!r} and {label!r}, which are one label")
        else:
            first[clean] = label
    return faults


def _too_few(parties: int) -> str:
    return f"parties has {counted(parties, 'entry')}, at least 2 are needed"


def _party(name: str) -> str:
    if name == COORDINATOR:
        raise fault_of_place("has the name of the other role; choose another name for the party")
    return name


class DataConfig(Section):
    """What is learned from: labelled text, at two parties or more and at the coordinator.

    `labels` fixes the classes and their order, each in the spelling of `clean_label`; without it they are
    those of the coordinator's table, sorted. `min_rows` is the row count below which a party's contract
    fails.
    """

    source: str | None = None
    text: str = Field("text", min_length=1)
    label: str = Field("label", min_length=1)
    labels: tuple[str, ...] | None = None
    parties: dict[Annotated[Identifier, AfterValidator(_party)], PartyData]
    coordinator: CoordinatorData
    holdout_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    min_rows: int = Field(20, ge=1)
    max_text_length: int = Field(20_000, ge=1)

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_as_strings(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        read_as = dict.fromkeys(_YAML_WORDS[item] for item in value if item is None or isinstance(item, bool))
        if read_as:
            raise ValueError(
                f"YAML reads a label without quotes as {' and as '.join(read_as)}; put each label in quotes, "
                'as it stands in the tables: "no", or "False" where the column holds booleans'
            )
        return tuple(str(item) for item in value)

    @model_validator(mode="wrap")
    @classmethod
    def _count_parties(cls, value: Any, inner: ModelWrapValidatorHandler[Self]) -> Self:
        """Say that parties are few beside faults of fields, at which the next validator does not run."""
        try:
            return inner(value)
        except ValidationError as error:
            parties = value.get("parties") if isinstance(value, dict) else None
            if not isinstance(parties, dict) or len(parties) > 1:
                raise
            raise with_fault(error, _too_few(len(parties))) from None

    @model_validator(mode="after")
    def _parties_and_sources_agree(self) -> Self:
        faults: list[str] = []
        if len(self.parties) < 2:
            faults.append(_too_few(len(self.parties)))
        if self.labels is not None and len(set(self.labels)) < 2:
            faults.append("labels needs at least 2 different values")
        faults += _ambiguous(self.labels or ())
        for party, data in self.parties.items():
            if self.source and not data.groups:
                faults.append(f"parties.{party} needs groups, since data.source is {self.source}")
            if not self.source and not data.train:
                faults.append(f"parties.{party} needs train, the path of its table")
            if not self.source and data.groups:
                faults.append(f"parties.{party}.groups needs data.source")
        own = self.coordinator
        if not self.source and not (own.table or own.validation):
            faults.append("coordinator needs table, or public, validation and holdout")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class LocalTraining(Section):
    """Training at a party. The learning rate warms up and decays over all rounds, not per round.

    `epochs: 0` submits the base model unchanged (it measures the exchange alone). `proximal_mu` is
    FedProx's pull towards the base model.
    """

    epochs: int = Field(1, ge=0, le=100)
    batch_size: int = Field(32, ge=1, le=65_536)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: PositiveFloat = 1e-4
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: NonNegative = 0.01
    warmup_ratio: Share = 0.1
    decay: Literal["constant", "linear", "cosine"] = "linear"
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    proximal_mu: NonNegative = 0.0


class UpdateConfig(Section):
    """What travels: the delta against the base model, clipped to `clipping_norm` (L2), as `dtype`."""

    clipping_norm: PositiveFloat | None = None
    dtype: Literal["float32", "bfloat16"] = "bfloat16"


class FineTuning(Section):
    """Training of the aggregate on the coordinator's public set, kept only if validation improves."""

    epochs: int = Field(1, ge=1, le=100)
    batch_size: int = Field(32, ge=1, le=65_536)
    learning_rate: PositiveFloat = 2e-5


LOSS_FLOOR = 0.1
"""Nats. Below it a loss may rise to many times itself and still be small."""


class RoundGate(Section):
    """What must hold before HEAD's model moves. `None` switches a check off.

    `max_metric_drop`: fall of `key_metric` on validation against the good model. `max_party_drop`: the
    same on any one party's holdout. `max_loss`: validation loss. `max_loss_ratio`: the same over the good
    model's, of which at least `LOSS_FLOOR` is counted. `max_norm_ratio`: largest accepted update norm over
    the median of the others'; of fewer than three updates nobody can tell which one is wrong.

    `after_refusal`: `retry` asks the same cohort again; `drop` leaves the worst contributor out of the next
    three rounds, as long as `min_available_parties` remain; `stop` closes the run as failed.
    """

    max_metric_drop: NonNegative | None = 0.02
    max_party_drop: NonNegative | None = 0.10
    max_loss: PositiveFloat | None = None
    max_loss_ratio: Annotated[float, Field(ge=1.0)] | None = 3.0
    max_norm_ratio: PositiveFloat | None = 20.0
    after_refusal: Literal["retry", "drop", "stop"] = "retry"

    @classmethod
    def off(cls) -> "RoundGate":
        """A gate with every check switched off."""
        bounds = (name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation))
        return cls(**dict.fromkeys(bounds))


class ReleaseGate(Section):
    """What must hold before a run's kept model becomes the champion. `None` switches a bound off.

    Against the champion, on the validation set: with `confidence`, accuracy falls by less than `margin`
    and loss rises by less than `max_loss_rise` (nats). Sampling error counts against the candidate here.
    At each party (`max_party_drop`, both models on the same rows of its holdout) and in each slice of
    `min_slice_rows` rows (`max_slice_drop`), where rows are few, it counts for the candidate: refused is a
    fall that chance does not explain. A bound on parties that no party could be held against refuses.
    By itself: `min_accuracy` on validation, `min_party_accuracy` and `min_party_macro_f1` on every party's
    holdout, `max_ece` (expected calibration error), `max_model_bytes`, `max_latency_ms` for one text at the
    coordinator (95th percentile), `require_contracts`: no party of the run breaks its data
    contract. With `approval: person` somebody approves within `approval_deadline` seconds.
    """

    margin: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    max_loss_rise: NonNegative | None = None
    min_accuracy: Share | None = None
    min_party_accuracy: Share | None = None
    min_party_macro_f1: Share | None = None
    max_party_drop: NonNegative | None = 0.10
    max_slice_drop: NonNegative | None = 0.10
    min_slice_rows: int = Field(30, ge=1)
    max_ece: Share | None = 0.15
    max_model_bytes: int | None = Field(None, ge=1)
    max_latency_ms: PositiveFloat | None = None
    require_contracts: bool = True
    approval: Literal["none", "person"] = "none"
    approval_deadline: PositiveFloat = 86_400.0


class Salvage(Section):
    """What becomes of an update that came too late for its own round: it counts in the next one.

    Its weight is multiplied by `(1 + staleness) ** -exponent`; the paper is in
    `fedmodels/protocol/salvage.py`. `exponent: 0` takes it at full weight.
    """

    exponent: Annotated[float, Field(ge=0.0, le=10.0)] = 0.5


class EarlyStopping(Section):
    """Stop after `patience` passed rounds in none of which `key_metric` gained more than `min_delta`.

    The kept model is the best one by `key_metric`, by however little.
    """

    patience: int = Field(2, ge=1)
    min_delta: NonNegative = 0.0


class Recipe(Section):
    """A training, complete. The field names that users of Flower know keep their meaning.

    A round waits for its whole cohort until `round_timeout`, and counts when `min_available_parties` updates
    came. With `grace` it waits only so many seconds more once those are there: parties that always need
    longer are then late in every round.
    """

    name: Identifier
    use_case: Literal["review-sentiment"] = "review-sentiment"
    description: str = ""
    seed: int = Field(42, ge=0, le=2**31 - 1)
    data: DataConfig
    model: ModelConfig = ModelConfig()
    contract: Contract = LabelledTextContract()

    num_rounds: int = Field(3, ge=1, le=10_000)
    max_failed_rounds: int = Field(2, ge=0)
    fraction_train: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    min_available_parties: int = Field(2, ge=1)
    join_timeout: PositiveFloat = 180.0
    round_timeout: PositiveFloat = 3600.0
    train_timeout: PositiveFloat | None = None
    grace: NonNegative | None = None
    evaluation_timeout: PositiveFloat = 600.0
    session_idle_timeout: NonNegative = 900.0

    strategy: Literal["fedavg"] = "fedavg"
    weighting: Literal["examples", "equal"] = "examples"
    salvage: Salvage | None = None
    local: LocalTraining = LocalTraining()
    update: UpdateConfig = UpdateConfig()
    fine_tuning: FineTuning | None = FineTuning()
    evaluate_at_parties: bool = True
    key_metric: Literal["accuracy", "macro_f1", "loss"] = "accuracy"
    gate: RoundGate = RoundGate()
    release: ReleaseGate = ReleaseGate()
    drift: DriftSection = DriftSection()
    early_stopping: EarlyStopping | None = None

    @field_validator("gate")
    @classmethod
    def _falls_fit(cls, gate: RoundGate, info: ValidationInfo) -> RoundGate:
        """Beside the other faults of a recipe, which a validator of the whole would have to wait for."""
        metric = info.data.get("key_metric", "loss")  # lacking when it is faulty itself
        falls = {name: getattr(gate, name) for name in ("max_metric_drop", "max_party_drop")}
        wrong = {name: fall for name, fall in falls.items() if fall is not None and fall > 1}
        if metric != "loss" and wrong:
            said = " and ".join(f"{name} is {fall:g}" for name, fall in wrong.items())
            raise ValueError(f"{said}, but {metric} cannot fall by more than 1")
        return gate

    @property
    def training_limit(self) -> float:
        """Seconds that one party's training may take: `train_timeout`, or as long as the whole round has."""
        return self.round_timeout if self.train_timeout is None else self.train_timeout

    @property
    def grace_limit(self) -> float:
        """Seconds that the others get once enough have answered: `grace`, or as long as the whole round has.

        A resumed round grants them anew, so that by default it has its whole time again.
        """
        return self.round_timeout if self.grace is None else self.grace

    @property
    def preparing_limit(self) -> float:
        """Seconds of a step in which a party fetches its model or reads its rows.

        One that is late for the first round may yet be in time for another, so it has the longer of both.
        """
        return max(self.join_timeout, self.round_timeout)

    @property
    def scoring_limit(self) -> float:
        """Seconds of one party's scoring, which may be of two models: the champion's scores go first."""
        return 2 * self.evaluation_timeout

    @model_validator(mode="after")
    def _quorum_fits(self) -> Self:
        if self.min_available_parties > len(self.data.parties):
            raise ValueError(
                f"min_available_parties is {self.min_available_parties}, "
                f"but data.parties names only {len(self.data.parties)}"
            )
        return self

    @model_validator(mode="after")
    def _drift_quorum_fits(self) -> Self:
        if self.drift.enabled and self.drift.quorum > len(self.data.parties):
            raise ValueError(
                f"drift.quorum is {self.drift.quorum}, but data.parties names only {len(self.data.parties)}"
            )
        return self

    @model_validator(mode="after")
    def _contract_fits(self) -> Self:
        kind = KIND_OF[self.use_case]
        if self.contract.kind != kind:
            raise ValueError(
                f"contract.kind is {self.contract.kind}, but use_case {self.use_case} learns from {kind}"
            )
        return self

    @model_validator(mode="after")
    def _salvage_fits(self) -> Self:
        if self.salvage is not None and self.strategy not in SALVAGING_STRATEGIES:
            raise ValueError(
                f"salvage cannot go with strategy {self.strategy}, whose state belongs to one round; "
                f"use salvage: null, or one of {', '.join(sorted(SALVAGING_STRATEGIES))}"
            )
        return self

    @property
    def parties(self) -> tuple[str, ...]:
        """Party ids, sorted: the one order in which everything iterates over parties."""
        return tuple(sorted(self.data.parties))

    def without_paths(self) -> "Recipe":
        """The recipe as the plan holds it: no path of anybody's table.

        A table's path belongs to its owner's settings. What remains says that a party brings `own`
        rows, so that the plan still validates.
        """
        parties = {
            party: data if data.groups else PartyData(train="own", holdout=data.holdout and "own")
            for party, data in self.data.parties.items()
        }
        own = self.data.coordinator
        coordinator = own if self.data.source else CoordinatorData(table="own", shares=own.shares)
        data = self.data.model_copy(update={"parties": parties, "coordinator": coordinator})
        return self.model_copy(update={"data": data})
