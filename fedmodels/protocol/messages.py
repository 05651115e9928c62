"""What coordinator and parties leave for each other in the bucket.

Frozen values, without I/O. All durations are in seconds and relative: clocks of different machines are
never compared. `sha256` fields name blobs; a record names the record before it, which makes a chain.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedmodels.identifiers import Identifier, PrintableName
from fedmodels.recipe import Recipe

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
OptionalSha256 = Annotated[Sha256 | None, Field(exclude_if=lambda digest: digest is None)]
"""Not written where it is `None`: messages of before the field keep their bytes, and so their hashes."""
Count = Annotated[int, Field(ge=0)]
ShortWord = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9 .,+:()/_-]*$")]
"""A version or the name of hardware: it comes from another machine, and goes into tables as it is."""
Seconds = Annotated[float, Field(ge=0.0)]
EarlierRound = Annotated[int | None, Field(ge=1, exclude_if=lambda number: number is None)]
"""Round of a receipt that was salvaged from it. `None`, and then not written: the message's own round."""


class Message(BaseModel):
    """Base of every message: immutable, strict about its keys, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Metrics(Message):
    """Scores of one model on one data set; `loss` is the mean cross-entropy in nats."""

    accuracy: Annotated[float, Field(ge=0.0, le=1.0)]
    macro_f1: Annotated[float, Field(ge=0.0, le=1.0)]
    loss: Annotated[float, Field(ge=0.0)]
    num_examples: Annotated[int, Field(ge=1)]


class TensorSpec(Message):
    """One tensor of the model: its name, safetensors dtype (`F32`, `BF16`, ...) and shape."""

    name: str
    dtype: str
    shape: tuple[Count, ...]


class PinnedSet(Message):
    """One of the coordinator's own sets when the run was opened: its rows, and their hash in their order."""

    rows: Count
    sha256: Sha256


class Environment(Message):
    """What a process computes with, as far as it can change a model's bits. Names no machine and no path."""

    code: Annotated[str, Field(pattern=r"^([0-9a-f]{40,64})?$")]
    """Git commit of the checkout; empty outside of one."""
    modified: bool
    """Whether the code differs from that commit."""
    constraints_sha256: OptionalSha256 = None
    """Of the file that pins every package."""
    python: ShortWord
    torch: ShortWord
    torch_build_sha256: Sha256
    """Of how torch says that it was built: compiler, libraries, options."""
    transformers: ShortWord
    machine: ShortWord
    """`x86_64`, `aarch64`, ..."""
    instruction_set: ShortWord
    """The widest one that torch's own kernels use here: `AVX512`, `AVX2`, ..."""
    device: ShortWord
    """`cpu`, or the name of the GPU."""
    threads: Annotated[int, Field(ge=1)]
    """Of torch, in one process: sums are split among them."""


EnvironmentWhereKnown = Annotated[Environment | None, Field(exclude_if=lambda found: found is None)]
"""Not written where it is `None`: in messages of before the field, and of parties that do not tell it."""


class StartingModel(Message):
    """A model of an earlier run, from which one begins instead of the recipe's base model."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    """The passed round after which it was that run's model."""
    model_sha256: Sha256


WhereItBegins = Annotated[StartingModel | None, Field(exclude_if=lambda model: model is None)]
"""Not written where it is `None`: in messages of before the field, and of runs that begin from a base one."""


class Plan(Message):
    """`plan.json`: what is fixed for the whole run. The recipe in it holds no path."""

    run: Identifier
    recipe: Recipe
    parties: dict[Identifier, str]
    """Party id to its Ed25519 public key, base64."""
    labels: tuple[str, ...]
    parameters: tuple[TensorSpec, ...]
    """The model's parameters, in the order in which they are stored and aggregated."""
    architecture_sha256: Sha256
    """Blob with the model's configuration and tokenizer files, without weights."""
    base_model_sha256: Sha256
    """What the first round starts from: the recipe's base model, or `begins_from`."""
    sets: Annotated[dict[str, PinnedSet] | None, Field(exclude_if=lambda sets: sets is None)] = None
    """The coordinator's own sets: those that judge the first round judge the last. `None`, and then not
    written: of a plan of before the field."""
    fedcart_version: str
    environment: EnvironmentWhereKnown = None
    """Of the coordinator that opened the run."""
    repeats: Annotated[Identifier | None, Field(exclude_if=lambda run: run is None)] = None
    """The run that this one is to make again: a party that kept the tables of that one trains on them."""
    begins_from: WhereItBegins = None


class Head(Message):
    """`HEAD.json`: moves by compare-and-swap with every closed round; its model only by a gate."""

    run: Identifier
    epoch: Annotated[int, Field(ge=1)]
    owner: Annotated[str, Field(max_length=64)] = ""
    """The coordinator that has this epoch, by a name that it drew: two that take it at once differ in it."""
    round: Count
    """Last closed round; 0 before the first."""
    record_sha256: Sha256 | None
    model_sha256: Sha256
    """The good model: the base of the next round, and the best one kept so far is `best_*`."""
    best_model_sha256: Sha256
    best_round: Count
    passed_rounds: Count
    failed_rounds: Count


class Announcement(Message):
    """`announcement.json`: a round begins."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    passed_rounds: Count
    """Rounds passed before this one: where the learning-rate schedule stands."""
    model_sha256: Sha256
    cohort: tuple[Identifier, ...]
    round_timeout: Seconds


class DataReport(Message):
    """Counts about a party's data: what cleaning changed, what the contract found. No values."""

    rows: Count
    train_rows: Count
    holdout_rows: Count
    cleaned: dict[str, Count] = {}
    contract_passed: bool
    failed_expectations: tuple[str, ...] = ()
    """`severity:expectation:column` of each one that failed."""
    evaluated_expectations: Count = 0


class PinnedData(Message):
    """What a party says of the version of its tables that it keeps: as much of it as its policy allows."""

    keyed_hash: OptionalSha256 = None
    """Of the tables, under a key that never leaves the party: equal tables of two parties have two."""
    rows: Annotated[dict[Identifier, Count], Field(max_length=8)] = {}
    """By table, as the tables hold them, before cleaning."""
    columns: Annotated[tuple[tuple[PrintableName, PrintableName], ...], Field(max_length=200)] = ()
    """Names and types of the columns of its training table."""


class Receipt(Message):
    """The payload of `receipt.json`, which its party signs: an update, or a typed reason for none."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    party: Identifier
    plan_sha256: OptionalSha256 = None
    """The plan that the party joined under: with this, its signature covers recipe and keys as well. Only
    receipts of before the field have none; admission refuses such a one now."""
    base_sha256: Sha256
    update_sha256: Sha256 | None
    update_bytes: Count = 0
    update_norm: Annotated[float, Field(ge=0.0)] = 0.0
    """L2 norm of the delta as submitted."""
    num_examples: Count = 0
    data_hash: str = ""
    """HMAC-SHA256 of the training rows under the party's own key: says that data changed, not what."""
    version: Annotated[PinnedData | None, Field(exclude_if=lambda version: version is None)] = None
    """Of the tables that the rows come from. Not written where it is `None`: in receipts of before the field,
    and of parties that keep no versions, or say nothing of them."""
    data: DataReport | None = None
    metrics: dict[str, float] = {}
    """`train_loss` and whatever else training measured."""
    seconds: dict[str, Seconds] = {}
    """By step: `data`, `train`, `protect`, `submit`, ..."""
    compute: tuple[tuple[Seconds, Seconds], ...] = ()
    """Intervals inside a forward, backward or optimiser step, as (begin, end) **before** submission."""
    bytes_down: Count = 0
    refusal: str | None = None
    """Code of the error that kept the party out; then there is no update."""
    reason: str = ""
    """That error's sentence, without any value of the data."""
    environment: EnvironmentWhereKnown = None
    """Of the session that trained the update."""
    flow_run_id: str = ""


class FineTuningResult(Message):
    """What global fine-tuning did: `key_metric` on validation before and after, and the verdict."""

    kept: bool
    before: Metrics
    after: Metrics | None
    """`None` when training or its scores were not finite."""

    def in_words(self) -> str:
        """`global fine-tuning kept: accuracy on validation 0.810 before, 0.840 after`."""
        after = f"{self.after.accuracy:.3f}" if self.after else "not finite"
        return (
            f"global fine-tuning {'kept' if self.kept else 'dropped'}: accuracy on validation "
            f"{self.before.accuracy:.3f} before, {after} after"
        )


class StandingChampion(Message):
    """The released model that a candidate would replace, and the run whose plan says what it is."""

    run: Identifier
    model_sha256: Sha256


class Candidate(Message):
    """`candidate.json`: the model that the gate will judge; parties score it on their holdouts."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    model_sha256: Sha256
    evaluate: bool
    """Whether parties are asked to score it."""
    evaluation_timeout: Seconds
    metrics: Metrics | None
    """On validation; `None` when a score was not finite. Then nobody is asked to score it."""
    fine_tuning: FineTuningResult | None
    aggregate_sha256: OptionalSha256 = None
    """The average itself, before fine-tuning: what anybody can recompute from the decision."""
    champion: Annotated[StandingChampion | None, Field(exclude_if=lambda model: model is None)] = None
    """What parties are asked to score beside it, on the same rows; nothing before the first release."""


class ChampionScore(Message):
    """A party's scores of the released model, on the very rows on which it scored the candidate."""

    model_sha256: Sha256
    metrics: Metrics | None
    reason: str = ""
    """Why there are none."""


class Evaluation(Message):
    """The payload of `evaluation.json`, signed: a party's scores of the candidate, or an abstention."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    party: Identifier
    model_sha256: Sha256
    metrics: Metrics | None
    reason: str = ""
    champion: Annotated[ChampionScore | None, Field(exclude_if=lambda score: score is None)] = None
    compute: tuple[tuple[Seconds, Seconds], ...] = ()
    bytes_down: Count = 0

    @property
    def champion_metrics(self) -> Metrics | None:
        """The champion's scores, if it was asked for and could be scored."""
        return self.champion.metrics if self.champion else None


class Signed(Message):
    """An envelope: the exact payload text that was signed, and the Ed25519 signature (base64)."""

    payload: str
    signature: str


class AcceptedUpdate(Message):
    """One update that counts, pinned by the hashes of its receipt and of its bytes.

    Its receipt lies where its party wrote it: in `round`, when it was late there and is salvaged here.
    """

    party: Identifier
    receipt_sha256: Sha256
    update_sha256: Sha256
    num_examples: Annotated[int, Field(ge=1)]
    weight: Annotated[float, Field(ge=0.0, le=1.0)]
    """Share of the average, discount and all; the weights of a decision sum to 1."""
    round: EarlierRound = None
    discount: Annotated[float, Field(gt=0.0, le=1.0, exclude_if=lambda factor: factor == 1.0)] = 1.0
    """Factor for staleness; it stands in the bucket only where it is not 1."""


class Refusal(Message):
    """One party that does not count this round, and why."""

    party: Identifier
    code: str
    reason: str
    round: EarlierRound = None


class Decision(Message):
    """`decision.json`: which updates count. The aggregate is a function of it and of nothing else."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    base_sha256: Sha256
    accepted: tuple[AcceptedUpdate, ...]
    """Sorted by party."""
    refused: tuple[Refusal, ...]


class GateResult(Message):
    """The round gate's verdict; `reasons` has a sentence for each check, passed or not."""

    passed: bool
    reasons: tuple[str, ...]


class PartyRow(Message):
    """One party's row of a round's table."""

    num_examples: Count = 0
    train_loss: float | None = None
    update_norm: float | None = None
    metrics: Metrics | None = None
    champion: Annotated[Metrics | None, Field(exclude_if=lambda scores: scores is None)] = None
    """Of the candidate's `champion`, on the same rows as `metrics`; decides nothing in the round."""
    seconds: Seconds = 0.0
    bytes_up: Count = 0
    bytes_down: Count = 0
    cleaned: dict[str, Count] = {}
    warnings: tuple[str, ...] = ()
    flow_run_id: str = ""


class RoundSeconds(Message):
    """Wall time of a round. `overhead` is what nobody spent inside a training or evaluation step."""

    total: Seconds
    train: Seconds
    overhead: Seconds


class RoundBytes(Message):
    """Bytes that parties sent up and fetched down in a round."""

    up: Count
    down: Count


class Record(Message):
    """`record.json`: the round, closed. It commits the round; HEAD follows it."""

    run: Identifier
    round: Annotated[int, Field(ge=1)]
    previous_sha256: Sha256 | None
    """Hash of the record before, `None` for round 1."""
    outcome: Literal["passed", "gate-refused", "quorum-missed"]
    decision_sha256: Sha256
    model_sha256: Sha256
    """The good model after this round."""
    candidate_sha256: Sha256 | None
    accepted: tuple[Identifier, ...]
    refused: tuple[Refusal, ...]
    metrics: Metrics | None
    """On validation."""
    holdout: Metrics | None
    parties: dict[Identifier, PartyRow]
    fine_tuning: FineTuningResult | None
    gate: GateResult
    environment: EnvironmentWhereKnown = None
    """Of the coordinator that closed the round, where it is another one than the plan's."""
    dropped: Annotated[Identifier | None, Field(exclude_if=lambda party: party is None)] = None
    """The worst contributor of a round that the gate refused, which the next rounds leave out."""
    seconds: RoundSeconds
    bytes: RoundBytes


class Closed(Message):
    """`closed.json`: the run is over. `model_sha256` is the model that is kept."""

    run: Identifier
    status: Literal["finished", "cancelled", "failed"]
    code: str = ""
    reason: str = ""
    model_sha256: Sha256
    rounds: Count
    final: Metrics | None
    """The kept model on the coordinator's holdout."""
    seconds: Seconds


class Session(Message):
    """`session.json`: the lease of a party's session, moved by compare-and-swap."""

    run: Identifier
    party: Identifier
    session: str
    """Id of the flow run that holds it; the latest one to join."""
    ready: bool = False
    """Whether model and data are loaded."""
    refusal: str | None = None
    """Code of the error for which the party does not take part in the run; of one that is ready, of what its
    data were refused for: it stays, and looks again when they have changed."""
    reason: str = ""
    """That error's sentence."""
