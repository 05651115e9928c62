"""When a round's collection is over. Pure: the store's clock and its receipts are arguments."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CollectionState:
    """Where a collection stands.

    `waiting`: look again. `complete`: every party of the cohort answered in time. `over`: the time is up
    and `missing` parties, which may have answered late, do not count. `present` and `missing` are sorted
    and make up the cohort. `seconds_left` is how long the collection waits if nothing else arrives.
    """

    status: Literal["waiting", "complete", "over"]
    present: tuple[str, ...]
    missing: tuple[str, ...]
    seconds_left: float


def collection_state(
    cohort: Sequence[str],
    arrived: Mapping[str, float],
    now: float,
    *,
    quorum: int,
    round_timeout: float,
    grace: float,
    sat_out: Collection[str] = (),
    resumed_at: float | None = None,
) -> CollectionState:
    """Decide from what has arrived whether to wait on.

    The collection closes at `round_timeout`, or `grace` seconds after the update that made the quorum,
    whichever is first. A coordinator that comes back later than that waits one more `grace` from the
    moment when the parties have sessions again, so that its own absence makes nobody late.

    Args:
        cohort: the parties that were asked.
        arrived: party to the seconds between announcement and answer, with an update or without; others
            than the cohort's are ignored.
        now: seconds since the announcement, by the store's clock, as all times here.
        quorum: how many updates make a round worth closing.
        round_timeout: seconds that the cohort has.
        grace: seconds that the others still get after the quorum.
        sat_out: parties whose answer is that they have no update; they do not count for the quorum.
        resumed_at: when this coordinator had taken over the round and sessions could answer it, or `None`
            when it announced it.
    """
    asked = sorted(set(cohort))
    times = sorted(arrived[party] for party in asked if party in arrived and party not in sat_out)
    closes = round_timeout
    if len(times) >= quorum > 0:
        closes = min(closes, times[quorum - 1] + grace)
    if resumed_at is not None:
        closes = max(closes, resumed_at + grace)
    present = tuple(party for party in asked if party in arrived and arrived[party] <= closes)
    missing = tuple(party for party in asked if party not in present)
    status: Literal["waiting", "complete", "over"] = "over" if now >= closes else "waiting"
    return CollectionState(status if missing else "complete", present, missing, max(0.0, closes - now))
