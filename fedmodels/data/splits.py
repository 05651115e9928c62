"""Splits that do not depend on the order of rows: by a stable hash of a text, or of a whole group.

A hash and a seed give each text a place in [0, 1). Equal texts share it, so that no text stands on two
sides of a split, and a row that is added later moves no other row.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import InputError
from fedmodels.recipe import DataConfig


def place_of(key: str, seed: int, purpose: str) -> float:
    """Where `key` stands in [0, 1); independent between purposes and between seeds."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def split_by_text(
    rows: LabelledTexts, shares: Sequence[float], seed: int, purpose: str
) -> tuple[LabelledTexts, ...]:
    """Cut rows into one part per share, and a last part with what the shares leave over.

    The parts' sizes follow the shares on average: each text falls by its own hash.
    """
    parts: list[list[int]] = [[] for _ in range(len(shares) + 1)]
    bounds = [sum(shares[: index + 1]) for index in range(len(shares))]
    for position, text in enumerate(rows.texts):
        place = place_of(text, seed, purpose)
        parts[sum(place >= bound - 1e-12 for bound in bounds)].append(position)
    return tuple(rows.take(part) for part in parts)


def is_held_out(text: str, data: DataConfig, seed: int) -> bool:
    """Whether a party's row is held out by its text: the same side as `split_by_text` puts it on."""
    return place_of(text, seed, "holdout") < data.holdout_share - 1e-12


def parse_ranges(party: str, ranges: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """`("1-99", "105")` as inclusive pairs `((1, 99), (105, 105))`.

    Raises:
        InputError: a range ends before it begins.
    """
    pairs = []
    for text in ranges:
        first, _, last = text.partition("-")
        pair = int(first), int(last or first)
        if pair[1] < pair[0]:
            raise InputError(
                f"data.parties.{party}.groups has the range {text}, which ends before it begins",
                fix=f"write {pair[1]}-{pair[0]}",
                code="groups-invalid",
            )
        pairs.append(pair)
    return tuple(pairs)


def groups_by_party(
    groups: Iterable[int], ranges: Mapping[str, tuple[tuple[int, int], ...]]
) -> dict[str, tuple[int, ...]]:
    """Which of the existing `groups` each party's ranges select, in ascending order.

    Raises:
        InputError: two parties select the same group, or a party selects none that exists.
    """
    existing = sorted(set(groups))
    owner: dict[int, str] = {}
    for party, pairs in ranges.items():
        for group in (group for group in existing if any(first <= group <= last for first, last in pairs)):
            if owner.setdefault(group, party) != party:
                raise InputError(
                    f"data.parties gives group {group} to {owner[group]} and to {party}",
                    fix="give each group to one party",
                    code="groups-overlap",
                )
    selected = {party: tuple(group for group in existing if owner.get(group) == party) for party in ranges}
    for party, own in selected.items():
        if not own:
            raise InputError(
                f"data.parties.{party}.groups selects no row of the source, "
                f"whose groups run from {existing[0]} to {existing[-1]}",
                fix="choose groups within that range",
                code="party-without-rows",
            )
    return selected


def draw_groups(
    strata: Mapping[str, tuple[int, ...]],
    sizes: Mapping[int, int],
    shares: Mapping[str, float],
    seed: int,
    purpose: str,
) -> dict[str, frozenset[int]]:
    """Draw whole groups for each share of all rows, evenly from every stratum.

    In each stratum the groups stand in an order that the seed decides. A set takes every one that brings
    its total nearer to its share of the rows of the strata seen so far: what one stratum gave too much,
    the next gives less. Towards the end small groups are therefore likelier than large ones.

    Args:
        strata: stratum (a party) to its groups.
        sizes: group to its number of rows.
        shares: set to its share of all rows, summing to less than 1.
        seed: the recipe's seed.
        purpose: what is drawn; another purpose gives an independent order.

    Returns:
        Set to the groups drawn for it; no group is in two sets.
    """
    drawn: dict[str, set[int]] = {name: set() for name in shares}
    taken = dict.fromkeys(shares, 0)
    seen = 0
    for groups in strata.values():
        seen += sum(sizes[group] for group in groups)
        waiting = sorted(groups, key=lambda group: place_of(str(group), seed, purpose))
        for name, share in shares.items():
            left = share * seen - taken[name]
            for group in waiting:
                if abs(left - sizes[group]) < abs(left):
                    drawn[name].add(group)
                    left -= sizes[group]
            taken[name] = sum(sizes[group] for group in drawn[name])
            waiting = [group for group in waiting if group not in drawn[name]]
    return {name: frozenset(groups) for name, groups in drawn.items()}
