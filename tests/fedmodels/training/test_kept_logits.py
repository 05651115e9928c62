import os

import numpy as np
import pytest

from fedmodels.training import kept_logits
from fedmodels.training.kept_logits import KeptLogits

TEXTS = ("good", "the camera", "")
LOGITS = np.array([[0.1, -0.3], [2.0, 1.0], [float("nan"), 0.0]], dtype=np.float32)
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


@pytest.mark.parametrize("damage", [b"", b"PK", LOGITS[::-1].tobytes()])
def test_a_damaged_file_counts_as_none_and_is_written_again(kept, damage):
    (path,) = kept.folder.iterdir()
    content = path.read_bytes()
    assert LOGITS.tobytes() in content
    path.write_bytes(content.replace(LOGITS.tobytes(), damage))
    assert kept.find(MODEL, TEXTS) is None
    kept.keep(MODEL, TEXTS, LOGITS)
    assert kept.find(MODEL, TEXTS).tobytes() == LOGITS.tobytes()


def test_logits_of_another_number_of_texts_count_as_none(kept):
    kept.keep(MODEL, TEXTS, LOGITS[:2])
    assert kept.find(MODEL, TEXTS) is None


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
