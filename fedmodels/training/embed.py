"""Embeddings of texts by a classifier's own encoder: the mean of its last hidden states over a text's tokens.

As N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019, pool them. No gradients, no randomness, fp32.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedmodels.training.batching import evaluation_batches
from fedmodels.training.evaluate import BATCH_SIZE
from fedmodels.training.precision import pick_device
from fedmodels.training.tokenized import EncodedTexts


def embed_texts(
    model: Any, examples: EncodedTexts, batch_size: int = BATCH_SIZE, device: torch.device | None = None
) -> NDArray[np.float32]:
    """Embed n texts, n at least 1.

    Args:
        model: a transformers sequence classifier; its `base_model` is the encoder.
        examples: the texts as token ids.
        batch_size: texts at a time; decides nothing but padding, which is masked out.
        device: where it is computed.

    Returns:
        [n, d] in the order of the texts; d is the width of the encoder.
    """
    device = device or pick_device()
    model.to(device).eval()
    parts: dict[int, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for rows in evaluation_batches(examples.lengths, batch_size):
            ids, mask = (tensor.to(device) for tensor in examples.batch(rows))
            states = model.base_model(
                input_ids=ids, attention_mask=mask
            ).last_hidden_state.float()  # [b, s, d]
            weights = mask.unsqueeze(-1).float()  # [b, s, 1]
            means = (states * weights).sum(1) / weights.sum(1)  # [b, d]
            parts.update(zip(rows.tolist(), means.cpu().numpy(), strict=True))
    return np.stack([parts[row] for row in range(len(examples))]).astype(np.float32)
