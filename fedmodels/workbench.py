"""One model in memory, used round after round: load weights, train, score, write.

Building a transformer and reading a tokenizer costs seconds; loading other weights into it costs a
tenth of one. Encoded texts are kept too, by the table they came from.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedmodels.architecture import unpack_architecture
from fedmodels.classifier import empty_classifier, load_tokenizer, read_parameters, write_parameters
from fedmodels.data.prepared import LabelledTexts
from fedmodels.data.rows import class_indices
from fedmodels.metrics import Indices, score
from fedmodels.protocol.messages import Metrics, TensorSpec
from fedmodels.recipe import LocalTraining
from fedmodels.row_scores import RowScores, row_scores
from fedmodels.training.embed import embed_texts
from fedmodels.training.evaluate import compute_logits, measure_latency
from fedmodels.training.kept_logits import KeptLogits
from fedmodels.training.loop import TrainingResult, train_local
from fedmodels.training.stopwatch import Stopwatch
from fedmodels.training.tokenized import EncodedTexts, encode_texts

Interval = tuple[float, float]


class Workbench:
    """A classifier, its tokenizer and what was encoded with it.

    Args:
        model: the classifier; its weights mean nothing before `load`.
        tokenizer: the tokenizer that belongs to it.
        labels: class names; the position is the class index.
        max_length: tokens kept of a text.
        parameters: the plan's tensors; weights of any other shape are refused.
        cache: folder in which encoded texts are kept by content, or `None`.
        kept: what models said of tables before, or `None`: then each is scored whenever that is asked.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        labels: Sequence[str],
        max_length: int,
        parameters: tuple[TensorSpec, ...],
        cache: Path | None,
        kept: KeptLogits | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.index = {label: number for number, label in enumerate(labels)}
        self.max_length = max_length
        self.parameters = parameters
        self.cache = cache
        self.kept = kept
        self.loaded: str | None = None
        self._encoded: dict[int, tuple[LabelledTexts, EncodedTexts]] = {}

    @classmethod
    def from_architecture(
        cls,
        archive: bytes,
        folder: Path,
        *,
        labels: Sequence[str],
        max_length: int,
        parameters: tuple[TensorSpec, ...],
        cache: Path | None,
        threads: int,
        kept: KeptLogits | None = None,
    ) -> "Workbench":
        """Build the model that a plan describes, without weights.

        Args:
            archive: bytes of the architecture blob.
            folder: where its files are unpacked to.
            threads: torch threads of this process; part of what makes results repeatable.
        """
        torch.set_num_threads(threads)
        unpack_architecture(archive, folder)
        return cls(
            empty_classifier(folder),
            load_tokenizer(folder),
            labels=labels,
            max_length=max_length,
            parameters=parameters,
            cache=cache,
            kept=kept,
        )

    def load(self, path: Path, sha256: str) -> None:
        """Load weights, unless these are the ones that are loaded already."""
        if self.loaded != sha256:
            self.loaded = None
            read_parameters(self.model, path)
            self.loaded = sha256

    def write(self, path: Path) -> str:
        """Write the model's weights as safetensors, in the plan's order; return the file's SHA-256."""
        self.loaded = write_parameters(self.model, path)
        return self.loaded

    def encode(self, rows: LabelledTexts) -> EncodedTexts:
        """Token ids of the rows' texts, computed once for each table."""
        known = self._encoded.get(id(rows))
        if known is None or known[0] is not rows:
            known = rows, encode_texts(self.tokenizer, rows.texts, self.max_length, self.cache)
            self._encoded[id(rows)] = known
        return known[1]

    def train(
        self,
        rows: LabelledTexts,
        config: LocalTraining,
        *,
        passed_rounds: int,
        num_rounds: int,
        seed: tuple[int, str, int],
        should_stop: Callable[[], bool],
        on_step: Callable[[int, int, float], None] = lambda *_: None,
        table: str = "train table",
    ) -> TrainingResult:
        """Train the loaded weights in place; `loaded` is empty afterwards.

        `table` is what an error calls the rows; the rest is as of `train_local`.
        """
        encoded, targets = self.encode(rows), self.targets(rows)
        self.loaded = None
        return train_local(
            self.model,
            encoded,
            targets,
            config,
            schedule=(passed_rounds, num_rounds),
            seed=seed,
            should_stop=should_stop,
            on_step=on_step,
            table=table,
        )

    def evaluate(self, rows: LabelledTexts) -> tuple[Metrics, tuple[Interval, ...]]:
        """Score the model as it is on labelled rows; also the intervals spent inside the model.

        Raises:
            TrainingFailed: `evaluation-not-finite`, `evaluation-out-of-memory`.
        """
        watch = Stopwatch()
        return score(self._logits(rows, watch), self._actual(rows)), watch.intervals

    def evaluate_rows(self, rows: LabelledTexts) -> tuple[Metrics, RowScores]:
        """Score the model as it is on labelled rows, as a whole and row by row; raises as `evaluate`."""
        return self._scores(self._logits(rows, Stopwatch()), rows)

    def remember_rows(self, rows: LabelledTexts, sha256: str) -> tuple[Metrics, RowScores] | None:
        """What `evaluate_rows` says of other weights than the loaded ones, as far as that is kept."""
        logits = self.kept.find(sha256, rows.texts) if self.kept else None
        return None if logits is None else self._scores(logits, rows)

    def measure_latency(self, rows: LabelledTexts) -> float:
        """Milliseconds for one text, 95th percentile; see `fedmodels/training/evaluate.py`."""
        return measure_latency(self.model, self.encode(rows))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of n texts by the model's own encoder, [n, d]; see `fedmodels/training/embed.py`."""
        return embed_texts(self.model, encode_texts(self.tokenizer, texts, self.max_length, self.cache))

    def targets(self, rows: LabelledTexts) -> list[int]:
        """Class indices of the rows' labels.

        Raises:
            DataRefused: a label is no class of the model's (`labels-unknown`).
        """
        return class_indices(rows, self.index, "table")

    def _scores(self, logits: NDArray[np.float32], rows: LabelledTexts) -> tuple[Metrics, RowScores]:
        actual = self._actual(rows)
        return score(logits, actual), row_scores(logits, actual)

    def _actual(self, rows: LabelledTexts) -> Indices:
        return np.asarray(self.targets(rows), dtype=np.int64)

    def _logits(self, rows: LabelledTexts, watch: Stopwatch) -> NDArray[np.float32]:
        """[n, C] of the model as it is, computed unless they are kept."""
        known = self.kept.find(self.loaded, rows.texts) if self.kept and self.loaded else None
        if known is not None:
            return known
        logits = compute_logits(self.model, self.encode(rows), watch)
        if self.kept and self.loaded:
            self.kept.keep(self.loaded, rows.texts, logits)
        return logits
