import errno
import os

import numpy as np
import pytest

from fedmodels.training import kept_logits
from fedmodels.training.kept_logits import KeptLogits

TEXTS = ("good", "the camera", "")
LOGITS = np.array([[0.1, -0.3], [2.0, 1.0], [-0.7, 0.0]], dtype=np.float32)
MODEL, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def kept(tmp_path):
    made = KeptLogits(tmp_path / "logits", "torch 1, two threads")
    made.keep(MODEL, TEXTS, LOGITS)
    return made


def test_what_is_kept_is_found_bit_for_bit(kept):
    assert kept.find(MODEL, TEXTS).tobytes() == LOGITS.tobytes()
    assert kept.folder.stat().st_mode & 0o777 == 0o700


def test_other_weights_texts_or_means_find_nothing(kept):
    assert kept.find(OTHER, TEXTS) is None
    assert kept.find(MODEL, TEXTS[::-1]) is None
    assert kept.find(MODEL, TEXTS[:2]) is None
    assert kept.find(MODEL, ("good", "the", " camera")) is None
    assert KeptLogits(kept.folder, "torch 2, two threads").find(MODEL, TEXTS) is None


def test_a_damaged_file_counts_as_none_and_is_written_again(kept):
    """Numpy reads no further than the header says: of a long file whose header is damaged, too little."""
    texts = [f"text {number}" for number in range(1500)]
    logits = np.random.default_rng(0).normal(size=(1500, 2)).astype(np.float32)
    kept.keep(OTHER, texts, logits)
    path = max(kept.folder.iterdir(), key=lambda path: path.stat().st_size)
    content = path.read_bytes()
    header = content.index(b"NUMPY") + 8
    damages = [content[:end] for end in (0, 10, 40, len(content) // 2, len(content) - 1)]
    damages += [content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :] for at in (0, 40, header, 5000)]
    for damaged in damages:
        path.write_bytes(damaged)
        assert kept.find(OTHER, texts) is None
    kept.keep(OTHER, texts, logits)
    assert kept.find(OTHER, texts).tobytes() == logits.tobytes()


def test_what_is_not_finite_is_not_kept(kept):
    kept.keep(OTHER, TEXTS, np.where(LOGITS > 1, np.nan, LOGITS))
    assert kept.find(OTHER, TEXTS) is None


def test_a_folder_that_cannot_be_made_and_a_full_disk_cost_nothing(kept, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    nowhere = KeptLogits(tmp_path / "file" / "logits", "here")
    nowhere.keep(MODEL, TEXTS, LOGITS)
    assert nowhere.find(MODEL, TEXTS) is None

    def full(_path):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("fedmodels.parameters.stream.HashingWriter", full)
    kept.keep(OTHER, TEXTS, LOGITS)
    assert kept.find(OTHER, TEXTS) is None


def test_what_nobody_needed_for_longest_goes(kept, monkeypatch):
    monkeypatch.setattr(kept_logits, "LIMIT", 2)
    kept.keep(OTHER, TEXTS, LOGITS)
    for age, path in enumerate(kept.folder.iterdir()):
        os.utime(path, (age, age))
    assert kept.find(MODEL, TEXTS) is not None, "which makes it the latest used"
    kept.keep(MODEL, ("new",), LOGITS[:1])
    assert kept.find(MODEL, TEXTS) is not None
    assert kept.find(OTHER, TEXTS) is None
    assert len(list(kept.folder.iterdir())) == 2
