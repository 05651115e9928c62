"""The blobs: their bytes against the hashes that name them, and each round's average, computed again.

Everything is streamed. A round's base model and updates are read once, for the average; only what no
average reads, and what is damaged, is read by itself.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fedmodels.aggregation.fedavg import Source, WeightedDelta, fedavg
from fedmodels.errors import IntegrityError, RunError
from fedmodels.parameters.elements import DTYPES
from fedmodels.parameters.stream import CHUNK_BYTES, ChunkReader
from fedmodels.protocol.agreement import misspelt
from fedmodels.protocol.messages import Closed, Decision, Plan
from infra.layout import COORDINATOR, architecture_key, blobs_prefix, closed_key, model_key, update_key
from infra.object_store import DOWNLOAD_TRIES, ObjectStore
from tasks.removal_notes import read_pruned, read_swept
from tasks.verifying.findings import Finding, Verdict, told_apart
from tasks.verifying.judging import NAMED
from tasks.verifying.snapshot import Snapshot

Watch = Callable[[int, int], None]
"""Told the bytes that were read, and how many will be."""


@dataclass(frozen=True)
class Average:
    """One round's average to compute again, and what trusted messages say of the candidate made of it."""

    round: int
    plan: Plan
    decision: Decision
    model_sha256: str
    """The candidate's weights: the average itself, unless it was `tuned`."""
    tuned: bool
    stated_sha256: str | None
    """The average's own hash, as the candidate's message states it; earlier versions did not."""
    candidate_key: str
    candidate_holds: bool

    @property
    def base_key(self) -> str:
        """The model to which the updates are added."""
        return model_key(self.decision.base_sha256)

    @property
    def keys(self) -> tuple[str, ...]:
        """Base and updates, in the order in which they are added."""
        updates = self.decision.accepted
        return (self.base_key, *(update_key(update.party, update.update_sha256) for update in updates))


@dataclass
class BlobCheck:
    """The blobs of one run while they are checked. `named` is key to the SHA-256 that it must have."""

    store: ObjectStore
    snapshot: Snapshot
    named: Mapping[str, str]
    watch: Watch
    scratch: Path
    sizes: dict[str, int | None] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    read: int = 0
    total: int = 0

    def check_all(self, averages: Sequence[Average]) -> list[Finding]:
        """Compute the averages, check every blob that none of them read; return the averages' findings."""
        self.sizes = {key: self.store.size(key) for key in self.named}
        self._judge_missing([key for key, size in self.sizes.items() if size is None])
        computable = [average for average in averages if all(self.sizes[key] for key in average.keys)]
        averaged = [key for average in computable for key in average.keys]
        rest = {key for key in self.named if self.sizes[key] is not None} - set(averaged)
        self.total = sum(self.sizes[key] or 0 for key in [*averaged, *rest])
        found = [finding for average in averages for finding in self._average(average)]
        for key in self.named:
            self._check(key)
        return found

    def _judge_missing(self, keys: Sequence[str]) -> None:
        """Swept or pruned, if its run is over, and a note of its role says so; deleted otherwise.

        What is missing is looked for once more: the coordinator puts again what a sweep took too early. Notes
        are read only now, since they are written before what they name goes.
        """
        if not keys:
            return
        noted = self._noted(keys)
        over = self.snapshot.held(Closed).there or self.store.exists(closed_key(self.snapshot.run))
        for key in keys:
            self.sizes[key] = self.store.size(key)
            if self.sizes[key] is not None:
                continue
            if (told := noted.get(key)) is None:
                self.findings[key] = Finding(key, "deleted", NAMED)
                continue
            role, verdict = told
            if over:
                self.findings[key] = Finding(key, verdict, f"{role} {verdict} it")
            else:
                why = f"{role} notes it as {verdict}, but the run is open and needs it"
                self.findings[key] = Finding(key, "deleted", why)

    def _noted(self, keys: Sequence[str]) -> dict[str, tuple[str, Verdict]]:
        """Key to who notes that it went, and how: a party's own updates, and the coordinator's models."""
        parties = [p for p in self.snapshot.parties if any(key.startswith(blobs_prefix(p)) for key in keys)]
        noted: dict[str, tuple[str, Verdict]] = {
            update: (party, "swept") for party in parties for update in read_swept(self.store, party)
        }
        if any(key.startswith(blobs_prefix(COORDINATOR)) for key in keys):
            noted |= dict.fromkeys(read_pruned(self.store), ("the coordinator", "pruned"))
        return noted

    def _check(self, key: str) -> Finding:
        """Read one blob by itself, unless it is known already; again if it may be damaged on its way only."""
        seen: set[str] = set()
        while key not in self.findings:
            digest = self._digest(key)
            if digest is None:
                self._judge_missing([key])
            elif digest == self.named[key] or digest in seen or len(seen) == DOWNLOAD_TRIES:
                self.findings[key] = self._verdict(key, digest)
            else:
                seen.add(digest)
        return self.findings[key]

    def _digest(self, key: str) -> str | None:
        """SHA-256 of what arrives; `None` when nothing is there any more."""
        digest = hashlib.sha256()
        try:
            with self.store.open(key) as body:
                reader = _Watched(body, self._moved)
                while chunk := reader.read(CHUNK_BYTES):
                    digest.update(chunk)
        except IntegrityError:
            return None
        return digest.hexdigest()

    def _verdict(self, key: str, digest: str) -> Finding:
        if digest == self.named[key]:
            return Finding(key, "ok")
        others = [other for other, sha256 in self.named.items() if sha256 == digest]
        if others:
            return Finding(key, "swapped", f"it holds the bytes of {others[0]}")
        return Finding(key, "changed", f"its SHA-256 is {digest[:12]}…, not the one that names it")

    def _average(self, average: Average) -> Iterator[Finding]:
        """What was damaged on its way only is read again, so no average is believed wrong at once."""
        name, why = f"average of round {average.round}", ""
        for _ in range(DOWNLOAD_TRIES):
            if unsound := self._unsound(average, name):
                yield unsound
                return
            try:
                digest = self._recompute(average)
            except IntegrityError:
                why = "an update or the base is no model of the plan's shape"
            except RunError as error:
                if error.code == "disk-full":  # ours
                    raise
                why = f"it cannot be computed: {error.sentence}"
            else:
                for key in average.keys:
                    self.findings[key] = Finding(key, "ok")
                yield from compare_average(name, average, digest)
                return
            for key in average.keys:
                self._check(key)
        yield Finding(name, "disagrees", why)

    def _unsound(self, average: Average, name: str) -> Finding | None:
        """Why the average cannot be computed, as far as its blobs are known."""
        gone = [key for key in average.keys if key in self.findings and self.findings[key].verdict != "ok"]
        if not gone:
            return None
        verdicts = {self.findings[key].verdict for key in gone}
        count = f"{len(gone)} of the {len(average.keys)} blobs that it is made of"
        if verdicts <= {"swept", "pruned"}:
            verdict: Verdict = "pruned" if "pruned" in verdicts else "swept"
            return Finding(name, verdict, f"{count} were {' or '.join(sorted(verdicts, reverse=True))}")
        return Finding(name, "not checked", f"{count} are missing or damaged")

    def _recompute(self, average: Average) -> str:
        """SHA-256 of the average, by the function that the coordinator calls."""
        with ExitStack() as streams:

            def source(key: str) -> Source:
                body = streams.enter_context(self.store.open(key))
                return Source(key, _Watched(body, self._moved), self.named[key])

            base, *updates = (source(key) for key in average.keys)
            weights = [update.weight for update in average.decision.accepted]
            deltas = [WeightedDelta(s, weight) for s, weight in zip(updates, weights, strict=True)]
            folder = streams.enter_context(tempfile.TemporaryDirectory(dir=self.scratch))
            dtype = DTYPES[average.plan.recipe.update.dtype]
            destination = Path(folder) / "average.safetensors"
            return fedavg(average.plan.parameters, base, deltas, dtype, destination)

    def _moved(self, count: int) -> None:
        self.read += count
        self.total = max(self.total, self.read)
        self.watch(self.read, self.total)


class _Watched:
    """A reader that tells how many bytes passed."""

    def __init__(self, body: ChunkReader, moved: Callable[[int], None]) -> None:
        self._body, self._moved = body, moved

    def read(self, size: int, /) -> bytes:
        data = self._body.read(size)
        self._moved(len(data))
        return data


def compare_average(name: str, average: Average, digest: str) -> Iterator[Finding]:
    """Hold the recomputed average against what the candidate says of it.

    Training is not repeated here: where fine-tuning was kept, the candidate's weights follow from the
    average and from rows that only the coordinator has, and that is said.
    """
    count = len(average.decision.accepted)
    stated = average.stated_sha256
    wanted = stated if average.tuned else average.model_sha256
    if stated and stated != digest and (misspelt(stated, digest) or digest == wanted):
        fault = "aggregate_sha256 is {}, and the average is {}".format(*told_apart(stated, digest))
        yield Finding(average.candidate_key, "changed", fault)
        wanted = digest
    if wanted is None and not average.candidate_holds:
        yield Finding(name, "not checked", "the candidate's message, which states its hash, is damaged")
        return
    if wanted is None:
        detail = "an earlier fedcart did not note the average's own hash"
        yield Finding(name, "not recomputable: fine-tuned", detail)
        return
    if wanted != digest:
        fault = "it is {}, and the candidate says {}".format(*told_apart(digest, wanted))
        yield Finding(name, "disagrees", fault)
    else:
        yield Finding(name, "ok", f"base and {count} updates, added again: the same bits")
    if average.tuned:
        detail = "the coordinator's own rows made the candidate from the average"
        yield Finding(f"fine-tuning of round {average.round}", "not recomputable: fine-tuned", detail)


def named_blobs(plan: Plan | None, decisions: Iterable[Decision], models: Iterable[str]) -> dict[str, str]:
    """Key to SHA-256 of every blob that trusted messages name; `models` are hashes of global models."""
    named = {}
    if plan:
        named[architecture_key(plan.architecture_sha256)] = plan.architecture_sha256
        named[model_key(plan.base_model_sha256)] = plan.base_model_sha256
    for decision in decisions:
        named[model_key(decision.base_sha256)] = decision.base_sha256
        for update in decision.accepted:
            named[update_key(update.party, update.update_sha256)] = update.update_sha256
    return named | {model_key(sha256): sha256 for sha256 in models}
