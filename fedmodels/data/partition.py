"""A public data set cut into what each party and the coordinator would own, by whole groups.

For a demonstration on one machine: real parties bring tables, and nobody sees them all at once.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmodels.data.cleaning import clean_rows, clean_text
from fedmodels.data.prepared import CoordinatorTables, disjoint_tables
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.sources import rows_of_groups
from fedmodels.data.splits import draw_groups, groups_by_party, parse_ranges
from fedmodels.errors import InputError
from fedmodels.recipe import DataConfig

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class PartyRows:
    """One party's rows as they came, cut by groups; the party cleans them itself."""

    train: LabelledTexts
    holdout: LabelledTexts


@dataclass(frozen=True)
class Partition:
    """The whole source, cut. Rows of groups that no party selects are not used."""

    parties: dict[str, PartyRows]
    coordinator: CoordinatorTables


def partition_source(table: "pa.Table", data: DataConfig, seed: int) -> Partition:
    """Give each party its groups, and the coordinator whole groups that no party keeps.

    The coordinator's sets are drawn evenly from every party's groups until each holds its share of all
    rows, then each party's holdout from what is left to it. A text that the coordinator and a party
    would both hold, since customers do write the same sentence, leaves the coordinator's sets.

    Args:
        table: the source, with columns `group`, `text` and `label`.
        data: the recipe's `data` section.
        seed: the recipe's seed.

    Raises:
        InputError: groups overlap, or a party or set would be left without rows.
    """
    sizes = Counter(table["group"].to_pylist())
    owned = groups_by_party(
        sizes, {party: parse_ranges(party, own.groups) for party, own in data.parties.items()}
    )
    shares = dict(zip(("public", "validation", "holdout"), data.coordinator.shares, strict=True))
    drawn = draw_groups(owned, sizes, shares, seed, "coordinator")
    parties = {
        party: _party_rows(table, party, frozenset(groups).difference(*drawn.values()), sizes, data, seed)
        for party, groups in owned.items()
    }
    return Partition(parties, _coordinator_tables(table, drawn, parties, data))


def _party_rows(
    table: "pa.Table",
    party: str,
    groups: frozenset[int],
    sizes: Mapping[int, int],
    data: DataConfig,
    seed: int,
) -> PartyRows:
    held = draw_groups({party: tuple(groups)}, sizes, {"holdout": data.holdout_share}, seed, "holdout")[
        "holdout"
    ]
    train = rows_of_groups(table, groups - held)
    if not len(train):
        raise InputError(
            f"data.parties.{party}.groups leaves no row to train on once the coordinator has its share",
            fix="give the party more groups, or the coordinator smaller shares",
            code="party-without-rows",
        )
    return PartyRows(train, rows_of_groups(table, held))


def _coordinator_tables(
    table: "pa.Table", drawn: Mapping[str, frozenset[int]], parties: Mapping[str, PartyRows], data: DataConfig
) -> CoordinatorTables:
    counts: Counter[str] = Counter()
    theirs = frozenset(
        clean_text(text)[0] for rows in parties.values() for text in rows.train.texts + rows.holdout.texts
    )
    sets = {}
    for name, groups in drawn.items():
        raw = rows_of_groups(table, groups)
        cleaned, changed = clean_rows(raw.texts, raw.labels)
        sets[name] = cleaned.without_texts(theirs)
        counts.update(changed)
        counts["texts_at_parties"] += len(cleaned) - len(sets[name])
    return disjoint_tables(sets["public"], sets["validation"], sets["holdout"], data, counts)
