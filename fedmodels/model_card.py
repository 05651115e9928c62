"""A model card in the format of Hugging Face, made from a release's lineage record and of nothing else.

M. Mitchell et al., *Model cards for model reporting*, FAT* 2019.
"""

from collections.abc import Iterable, Iterator, Sequence

from huggingface_hub import EvalResult, ModelCardData

from fedmodels.protocol.lineage import DataVersion, Lineage, LineageRound, WithdrawalAnswered, environments_of
from fedmodels.protocol.messages import Environment, Metrics
from fedmodels.protocol.releases import ReleaseReport
from fedmodels.protocol.withdrawal import WITHDRAWAL_REASON, WithdrawnMark
from fedmodels.words import counted, plain, short_number

NOT_STATED = "not stated"


def model_card(lineage: Lineage, report: ReleaseReport, withdrawn: Sequence[WithdrawnMark] = ()) -> str:
    """The card as Markdown with its YAML header.

    Args:
        lineage: of the release.
        report: of the release.
        withdrawn: marks of what was withdrawn since.
    """
    recipe = lineage.training
    parts = [
        f"---\n{_header(lineage, report).to_yaml()}\n---",
        f"# {lineage.recipe}, release {lineage.release}",
        recipe.description.rstrip(".") + "." if recipe.description else "",
        *_warning(withdrawn),
        _summary(lineage),
        "## Use",
        _use(lineage),
        "## Scores",
        _scores(report),
        "## Data",
        _data(lineage.data),
        "## Rounds",
        _rounds(lineage.rounds),
        "## Checks before the release",
        _checks(report),
        "## Where it comes from",
        _origin(lineage),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warning(withdrawn: Sequence[WithdrawnMark]) -> Iterator[str]:
    for told in dict.fromkeys(mark.in_words() for mark in withdrawn):
        yield f"**Withdrawn: do not use it.** The model {told}."


def _summary(lineage: Lineage) -> str:
    return (
        f"Classifies texts as {_listed(lineage.labels)}. "
        f"Trained by {counted(len(lineage.parties), 'party')} together, none of which showed its rows to "
        "another or to the coordinator: they exchanged updates of the model. In this mode the coordinator "
        "sees each party's update, which is not privacy: rows can be recovered from plain updates."
    )


def _header(lineage: Lineage, report: ReleaseReport) -> ModelCardData:
    """What the hub reads. No licence is stated: neither party nor base model has said one here."""
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Text classification",
            dataset_type=f"{lineage.recipe}-{name}",
            dataset_name=f"{name} of the coordinator ({counted(metrics.num_examples, 'row')})",
            metric_type=kind,
            metric_name=kind,
            metric_value=round(value, 4),
        )
        for name, metrics in (("holdout", report.holdout), ("validation", report.validation))
        if metrics is not None
        for kind, value in (("accuracy", metrics.accuracy), ("f1", metrics.macro_f1))
    ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["federated-learning", "fedcart", lineage.training.use_case],
        model_name=f"{lineage.recipe} release {lineage.release}",
        eval_results=results or None,
    )


def _use(lineage: Lineage) -> str:
    length = lineage.training.model.max_length
    return (
        "```python\nfrom transformers import pipeline\n\n"
        'classify = pipeline("text-classification", model="PATH OF THIS FOLDER")\n'
        'print(classify("a text"))\n```\n\n'
        f"Texts are cut at {length} tokens: it has seen no longer ones."
    )


def _scores(report: ReleaseReport) -> str:
    rows = [
        [name, *_metrics(metrics)]
        for name, metrics in (
            ("holdout (scored, never decides)", report.holdout),
            ("validation (decides)", report.validation),
            ("validation, the champion before", report.champion_validation),
        )
        if metrics is not None
    ]
    return _table(("set of the coordinator", "rows", "accuracy", "macro F1", "loss"), rows, "lrrrr")


def _metrics(metrics: Metrics) -> list[str]:
    scores = (metrics.accuracy, metrics.macro_f1, metrics.loss)
    return [str(metrics.num_examples), *(f"{value:.3f}" for value in scores)]


def _data(versions: Sequence[DataVersion]) -> str:
    rows = [
        [
            version.party,
            (version.version or "")[:12] or NOT_STATED,
            version.data_hash[:12] or NOT_STATED,
            str(version.train_rows),
            str(version.holdout_rows),
            "holds" if version.contract_passed else "broken",
            ", ".join(map(str, version.rounds)),
        ]
        for version in versions
    ]
    told = (
        "Both hashes are made under the party's own key: they change when its tables, or the rows that it "
        "trained on, do, and tell no more. By the first its party finds the version that it pinned."
    )
    columns = ("party", "version", "rows' hash", "training rows", "holdout rows", "contract", "rounds")
    return f"{_table(columns, rows, 'lllrrll')}\n\n{told}"


def _rounds(rounds: Sequence[LineageRound]) -> str:
    rows = [
        [
            str(each.round),
            each.outcome,
            ", ".join(update.party for update in each.accepted) or "–",
            f"{each.metrics.accuracy:.3f}" if each.metrics else "–",
            f"`{each.model_sha256[:12]}`",
        ]
        for each in rounds
    ]
    return _table(
        ("round", "outcome", "updates of", "accuracy (validation)", "model after it"), rows, "rllrl"
    )


def _checks(report: ReleaseReport) -> str:
    rows = [
        [
            check.name,
            *("–" if number is None else short_number(number) for number in (check.value, check.bound)),
            check.verdict,
        ]
        for check in report.checks
    ]
    return _table(("check", "value", "bound", "verdict"), rows, "lrrl")


def _origin(lineage: Lineage) -> str:
    facts = [
        ("run", f"{lineage.run}, round {lineage.round}"),
        ("model", f"`{lineage.model_sha256}`"),
        ("base model", f"{lineage.start}, `{lineage.base_model_sha256}`"),
        ("recipe", f"`{lineage.training_sha256}`"),
        ("drift that was answered", plain(lineage.drift.reason) if lineage.drift else "none"),
        *([("withdrawal that was answered", _withdrawal(lineage.withdrawal))] if lineage.withdrawal else []),
        *([("signature", f"`{lineage.signature_sha256}`")] if lineage.signature_sha256 else []),
        ("approved by", plain(lineage.approval.by) if lineage.approval else "nobody was asked"),
        ("privacy budget", _privacy(lineage)),
        *(("computed with", _environment(each)) for each in environments_of(lineage)),
    ]
    return _table(("", ""), [list(fact) for fact in facts], "ll")


def _withdrawal(answered: WithdrawalAnswered) -> str:
    """`shop-a withdrew rows, shop-b left (notices shop-a/0001, shop-b/0002); trained without shop-b`."""
    named = ("/".join(key.removesuffix(".json").split("/")[-2:]) for key in answered.notices)
    told = f"{answered.reason.removeprefix(WITHDRAWAL_REASON)} (notices {', '.join(named)})"
    without = f"; trained without {', '.join(answered.without)}" if answered.without else ""
    return plain(told + without)


def _privacy(lineage: Lineage) -> str:
    spent = (
        f"{party}: ε {each.epsilon:.2f} at δ {each.delta:g}"
        for party, each in sorted(lineage.privacy.items())
    )
    return ", ".join(spent) or "none was kept"


def _environment(environment: Environment) -> str:
    commit = environment.code[:12] or "unknown"
    changed = " with changes" if environment.modified else ""
    return (
        f"fedcart at {commit}{changed}, torch {environment.torch}, transformers {environment.transformers}, "
        f"Python {environment.python}, {environment.device} ({environment.machine}, "
        f"{environment.instruction_set}, {counted(environment.threads, 'thread')})"
    )


def _listed(words: Sequence[str]) -> str:
    """`negative or positive`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], sides: str) -> str:
    marks = " | ".join("---:" if side == "r" else "---" for side in sides)
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], f"| {marks} |", *lines[1:]])
