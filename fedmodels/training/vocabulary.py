"""Train only the word embeddings that the data use: the same result for a fraction of the work.

A party's texts use a few thousand of the vocabulary's tokens. The rows of all others have a zero
gradient, so that gradient, clipping and optimiser would pass over tens of megabytes to change nothing.
While `only_used_rows` is open, the embedding holds the used rows alone; they are written back at the
end. Exact, because embeddings are not decayed (`optimizers.py`): an unused row's moments stay zero
and so does its step. Only the order of summation within the gradient's norm differs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class UsedRows(nn.Module):
    """An embedding of some rows of a larger one; token ids stay those of the larger one.

    Args:
        full: the embedding, [v, d].
        used: [u] token ids whose rows are kept, sorted, each once.
    """

    places: torch.Tensor

    def __init__(self, full: nn.Embedding, used: torch.Tensor) -> None:
        super().__init__()
        # Any other id maps to a row that does not exist: it fails and never trains another word.
        places = torch.full((full.num_embeddings,), len(used), dtype=torch.int64, device=used.device)
        places[used] = torch.arange(len(used), device=used.device)
        self.register_buffer("places", places, persistent=False)
        self.embedding = nn.Embedding(len(used), full.embedding_dim, _weight=full.weight.detach()[used])
        if full.padding_idx is not None and full.padding_idx in used:
            self.embedding.padding_idx = int(places[full.padding_idx])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings [..., d] of token ids [...]."""
        rows: torch.Tensor = self.embedding(self.places[ids])
        return rows


@contextmanager
def only_used_rows(model: nn.Module, used: torch.Tensor) -> Iterator[None]:
    """Replace the model's word embedding by its `used` rows, and write them back at the end.

    Does nothing where it would not be exact: an embedding of a special kind, or one that is tied to
    another module. What was trained is written back even when the body raises.

    Args:
        model: a transformers model.
        used: [u] token ids that batches will hold, padding included; sorted, each once.
    """
    place = _replaceable(model)
    if place is None:
        yield
        return
    parent, name, full = place
    rows = UsedRows(full, used.to(full.weight.device)).train(model.training)
    setattr(parent, name, rows)
    try:
        yield
    finally:
        setattr(parent, name, full)
        with torch.no_grad():
            full.weight[rows.places < len(used)] = rows.embedding.weight


def _replaceable(model: nn.Module) -> tuple[nn.Module, str, nn.Embedding] | None:
    full = model.get_input_embeddings()  # type: ignore[operator]
    if type(full) is not nn.Embedding or full.max_norm is not None or full.scale_grad_by_freq:
        return None
    owners = [
        (module, name)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter is full.weight
    ]
    parents = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if child is full
    ]
    if len(owners) != 1 or len(parents) != 1 or not full.weight.requires_grad:
        return None
    return (*parents[0], full)
