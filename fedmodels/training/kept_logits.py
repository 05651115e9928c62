"""What a model says of a table, kept by content: a round scores it, and a release need not again.

Logits follow from weights, architecture, texts, and the code and hardware that compute. So a file is named
after all of these: whoever computes with other code, another torch or on other hardware finds none.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import InputError
from fedmodels.training.kept_arrays import ENDING, content_name, read_arrays, write_arrays

LIMIT = 64
"""Files that stay, those that were used last: a round leaves up to three, a release uses them."""


@dataclass(frozen=True)
class KeptLogits:
    """Logits in a private folder.

    Args:
        folder: of the files.
        means: all that decides logits beside weights and texts: architecture with its tokenizer, length of
            texts, number of classes, code, torch, hardware, threads.
    """

    folder: Path
    means: str

    def find(self, model_sha256: str, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """[n, C] logits of n texts, or `None` where they are not kept.

        Args:
            model_sha256: of the weights.
            texts: in the order of the logits.
        """
        found = read_arrays(self._path(model_sha256, texts), "logits")
        if found is None:
            return None
        logits: NDArray[np.float32] = found[0]
        return logits

    def keep(self, model_sha256: str, texts: Sequence[str], logits: NDArray[np.float32]) -> None:
        """Keep the logits of n texts, [n, C]; of all that is kept, what nobody needed for longest goes.

        Best effort: a full disk, or a folder that is not to be written to, costs no score. What is not finite
        is not kept: a fault of the hardware is to last no longer than it does.
        """
        if not np.isfinite(logits).all():
            return
        with suppress(OSError, InputError):
            write_arrays(self._path(model_sha256, texts), logits=logits)
            newest_first = sorted(self.folder.glob(f"*{ENDING}"), key=lambda path: -path.stat().st_mtime)
            for path in newest_first[LIMIT:]:
                path.unlink(missing_ok=True)

    def _path(self, model_sha256: str, texts: Sequence[str]) -> Path:
        return self.folder / content_name(f"{model_sha256} {self.means}", texts)
