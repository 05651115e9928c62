"""A party's data against their contract: a verdict without a value, and a full result that stays there.

Great Expectations writes values of the data into its BASIC and SUMMARY results, e-mail addresses and all.
So two things come back: the verdict, which may leave the party and holds no more than BOOLEAN_ONLY would,
and the full results, which the caller keeps in a folder of the party's own, or drops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import DataConfig
from validation.suites.labelled_text import Part, labelled_text_frame, labelled_text_suite

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

FullResult = dict[str, Any]
"""What Great Expectations says of one table as JSON, with values of the rows: it stays with its party."""


@dataclass(frozen=True)
class ContractVerdict:
    """What a contract found."""

    passed: bool
    """No critical expectation failed."""
    failed: tuple[str, ...]
    """`severity:expectation_type:column` of each failed one; the column of a holdout is `holdout.NAME`."""
    evaluated: int
    """Number of expectations."""


def check_labelled_text(
    train: LabelledTexts,
    holdout: LabelledTexts,
    data: DataConfig,
    labels: Sequence[str],
) -> tuple[ContractVerdict, dict[Part, FullResult]]:
    """Hold a party's prepared rows against the contract for labelled text.

    Args:
        train: rows to train on.
        holdout: rows to score on; without a row it is not checked, since it then scores nothing.
        data: the recipe's `data` section, with `min_rows` and `max_text_length`.
        labels: the classes of the plan.

    Returns:
        The verdict, and by part the full result with examples of what failed.
    """
    verdicts: list[ContractVerdict] = []
    full: dict[Part, FullResult] = {}
    parts: tuple[tuple[Part, LabelledTexts], ...] = (("train", train), ("holdout", holdout))
    for part, rows in parts:
        if part == "holdout" and len(rows) == 0:
            continue
        suite = labelled_text_suite(labels, data.min_rows, data.max_text_length, part)
        prefix = "holdout." if part == "holdout" else ""
        verdict, full[part] = check_frame(labelled_text_frame(rows), suite, prefix=prefix)
        verdicts.append(verdict)
    whole = ContractVerdict(
        passed=all(verdict.passed for verdict in verdicts),
        failed=tuple(name for verdict in verdicts for name in verdict.failed),
        evaluated=sum(verdict.evaluated for verdict in verdicts),
    )
    return whole, full


def check_frame(
    frame: "pd.DataFrame", suite: "ExpectationSuite", *, prefix: str = ""
) -> tuple[ContractVerdict, FullResult]:
    """Run a suite over a frame in a context that leaves no trace.

    An expectation that cannot be evaluated, for want of its column say, has failed.

    Args:
        frame: the rows.
        suite: the expectations.
        prefix: put before the column's name in `failed`.

    Returns:
        The verdict, and the full result, values and all.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(suite, result_format="SUMMARY")
    full: FullResult = result.to_json_dict()  # type: ignore[no-untyped-call]
    failed = [each.expectation_config for each in result.results if not each.success]
    names = tuple(sorted(_name(config, prefix) for config in failed if config))
    passed = not any(name.startswith("critical:") for name in names)
    return ContractVerdict(passed=passed, failed=names, evaluated=len(result.results)), full


def _name(config: "ExpectationConfiguration", prefix: str) -> str:
    return f"{config.severity.value}:{config.type}:{prefix}{config.kwargs.get('column', 'table')}"
