"""One drift check at a party: fresh rows against those that the champion was trained on. No Prefect."""

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np

from fedmodels.data.cleaning import clean_each, distinct_rows
from fedmodels.data.fresh import Window, labelled_fresh_rows, read_window
from fedmodels.data.prepared import LabelledTexts, keyed_data_hash
from fedmodels.errors import DataRefused, InputError
from fedmodels.protocol.canonical import canonical_json
from fedmodels.words import counted
from infra.keys import data_hash_key
from tasks.drift.desk import DriftDesk
from tasks.drift.features import drift_policy, measure_columns
from tasks.drift.history import add_check, read_history
from tasks.drift.reference import find_reference
from tasks.drift.released import Released, find_released, load_champion, trained_hash, trained_rows
from tasks.party.kept_rows import TrainedRows
from validation.drift.comparing import compare
from validation.drift.findings import DriftReport
from validation.drift.persistence import PersistencePolicy, persistent_drift

NOTHING_FRESH, TOO_FEW_FRESH = "drift-nothing-fresh", "drift-too-few-rows"
"""Codes with which a check is refused that another hour may allow."""


@dataclass(frozen=True)
class DriftCheck:
    """What a check found. It holds no value of a row."""

    party: str
    recipe: str
    run: str
    """Of the champion."""
    model_sha256: str
    reference: str
    """Names the reference, under the party's own key."""
    window: str
    """Names the fresh rows, under the party's own key."""
    rows: int
    report: DriftReport
    lasting: tuple[str, ...]
    """Features whose drift has lasted: a reason to train again."""
    new_labelled: int | None
    """Labelled rows that a training would learn from; `None` where no drift has lasted: nobody asks."""
    needed: int
    of: int
    reference_built: bool
    unchanged: bool
    """Champion and fresh rows are those of the last check: nothing was compared again."""


def check_drift(desk: DriftDesk) -> DriftCheck:
    """Hold the party's fresh rows against the rows that the champion was trained on; keep the verdict.

    Raises:
        InputError: `drift-no-champion`, `drift-disabled`, `drift-not-a-party`, `drift-nothing-fresh`, or the
            party's settings name no table.
        DataRefused: `drift-no-reference`, `drift-too-few-rows`, or a table or column cannot be used.
        IntegrityError: the champion is missing or damaged.
    """
    return check_against(desk, find_released(desk))


def check_against(desk: DriftDesk, released: Released) -> DriftCheck:
    """`check_drift`, of a champion that was found before."""
    section = released.plan.recipe.drift
    rows = trained_rows(desk, released, trained_hash(desk, released))
    window = fresh_window(desk, released, rows)
    model = cache(lambda: load_champion(desk, released))
    kept = find_reference(desk, released, rows, model)
    key = data_hash_key(desk.signing_key)
    window_id = _keyed(key, [keyed_data_hash(window.rows, key), repr(sorted(window.columns.items()))])
    history = read_history(desk)
    report = history.report_on(kept.sha256, window_id)
    unchanged = report is not None
    if report is None:
        rng = np.random.default_rng(int(window_id[:16], 16))
        columns = measure_columns(section, window, window.rows, model, rng)
        report = compare(kept.reference, columns, drift_policy(section), rng, window.unreadable)
        history = add_check(desk, history, kept.sha256, window_id, window.rows.texts, report)
    persistence = PersistencePolicy(section.needed, section.of, section.most_overlap)
    lasting = persistent_drift(history.past(), persistence)
    return DriftCheck(
        party=desk.party,
        recipe=desk.recipe,
        run=released.champion.run,
        model_sha256=released.model_sha256,
        reference=_keyed(key, [kept.sha256]),
        window=window_id,
        rows=len(window.rows),
        report=report,
        lasting=lasting,
        new_labelled=new_labelled(desk, released, rows) if lasting else None,
        needed=section.needed,
        of=section.of,
        reference_built=kept.built,
        unchanged=unchanged,
    )


def fresh_window(desk: DriftDesk, released: Released, rows: TrainedRows) -> Window:
    """The fresh rows: of the party's fresh table, or of its train table where its settings name none.

    Rows whose text the champion has met are no news: they are left out, as the reference leaves out texts
    that recur (`fedmodels/data/recurring.py`). A watched column that the table has no more is drift of that
    column, which the comparison finds.

    Raises:
        InputError: `drift-nothing-fresh`: there are none, or no fresh table yet.
        DataRefused: `drift-too-few-rows`, or the table cannot be read.
    """
    recipe, tables = released.plan.recipe, desk.tables
    name, path = ("fresh", tables.fresh) if tables.fresh else ("train", tables.train)
    assert path is not None, "desk.tables sees to it"
    if name == "fresh" and not path.exists():
        window = Window(LabelledTexts())
    else:
        kinds = dict(recipe.drift.columns)
        window = read_window(
            path,
            recipe.data,
            kinds,
            table=name,
            without=rows.met,
            all_kinds=False,
            withdrawn=desk.withdrawn,
        )
    found, least = len(frozenset(window.rows.texts)), recipe.drift.min_rows
    if not found:
        raise InputError(
            f"The {name} table of party {desk.party} has no row that the champion was not trained on",
            fix=f"let new rows come in, or set [tables.{recipe.name}] fresh in the party's fedcart.toml",
            code=NOTHING_FRESH,
        )
    if found < least:
        raise DataRefused(
            f"The {name} table of party {desk.party} has {counted(found, 'different row')} that the "
            f"champion was not trained on, and the tests need {least}",
            fix="check a longer window of rows",
            code=TOO_FEW_FRESH,
        )
    return window


def new_labelled(desk: DriftDesk, released: Released, rows: TrainedRows) -> int:
    """Different labelled texts of the party's tables that the champion has not met: what is new to learn.

    Labels may have come in the fresh table, or with their rows in the train table. A text with two labels is
    none: a training leaves it out.
    """
    tables, data = desk.tables, released.plan.recipe.data
    labelled = (
        row
        for path in (tables.train, tables.fresh)
        for batch in labelled_fresh_rows(path, data, Counter())
        for row in clean_each(batch.texts, batch.labels, Counter())
    )
    new = frozenset(distinct_rows(labelled, Counter()).texts) - rows.met
    return len(new - desk.withdrawn.among(new))


def _keyed(key: bytes, named: list[str]) -> str:
    """A name that nobody without the party's key can recompute, 64 hexadecimal digits."""
    return hmac.new(key, canonical_json(["drift", *named]), hashlib.sha256).hexdigest()
