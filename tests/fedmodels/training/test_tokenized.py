import os

import numpy as np
import pytest

from fedmodels.errors import InputError
from fedmodels.training.tokenized import encode_texts, tokenizer_hash


def as_lists(encoded):
    return [encoded.ids[a:b].tolist() for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)]


def test_ids_are_the_tokenizers(tiny, texts):
    tokenizer = tiny[1]
    assert as_lists(encode_texts(tokenizer, texts, 16)) == [tokenizer(text)["input_ids"] for text in texts]


def test_long_texts_are_cut_and_keep_their_special_tokens(tiny):
    encoded = encode_texts(tiny[1], ["the camera is very good " * 9, "good"], 6)
    assert encoded.lengths.tolist() == [6, 3]
    assert encoded.ids[0] == 2
    assert encoded.ids[5] == 3


def test_batch_is_padded_to_its_longest_row(tiny):
    encoded = encode_texts(tiny[1], ["good", "the camera", "a great great great player"], 16)
    ids, mask = encoded.batch(np.array([1, 0]))
    assert ids.tolist() == [[2, 5, 6, 3], [2, 15, 3, 0]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]


def test_no_texts_are_no_rows(tiny):
    assert len(encode_texts(tiny[1], [], 16)) == 0


def test_cache_is_used_and_gives_the_same(tiny, texts, tmp_path):
    first = encode_texts(tiny[1], texts, 16, tmp_path)
    (path,) = tmp_path.iterdir()
    inode = path.stat().st_ino
    again = encode_texts(tiny[1], texts, 16, tmp_path)
    assert path.stat().st_ino == inode, "a file that is written again is a new one"
    assert as_lists(again) == as_lists(first) == as_lists(encode_texts(tiny[1], texts, 16))
    assert again.pad_id == first.pad_id


def test_a_cached_file_is_as_old_as_its_last_use(tiny, texts, tmp_path):
    encode_texts(tiny[1], texts, 8, tmp_path)
    (path,) = tmp_path.iterdir()
    os.utime(path, (0.0, 0.0))
    encode_texts(tiny[1], texts, 8, tmp_path)
    assert path.stat().st_mtime > 0.0


def test_cache_knows_other_texts_lengths_and_boundaries(tiny, tmp_path):
    for texts, length in ((["ab", "c"], 16), (["a", "bc"], 16), (["ab", "c"], 8), (["c", "ab"], 16)):
        assert len(encode_texts(tiny[1], texts, length, tmp_path)) == 2
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "damage", [lambda data: data[:50], lambda data: b"", lambda data: data[:200] + b"\x09" + data[201:]]
)
def test_damaged_cache_is_encoded_again(tiny, texts, tmp_path, damage):
    whole = encode_texts(tiny[1], texts, 16, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert as_lists(encode_texts(tiny[1], texts, 16, tmp_path)) == as_lists(whole)
    assert len(path.read_bytes()) == len(content)


def test_hash_of_a_tokenizer_survives_its_use_and_tells_vocabularies_apart(tiny):
    tokenizer = tiny[1]
    before = tokenizer_hash(tokenizer)
    tokenizer(["the camera"], truncation=True, max_length=3, padding="max_length")
    assert tokenizer_hash(tokenizer) == before
    tokenizer.add_tokens(["gadget"])
    assert tokenizer_hash(tokenizer) != before


def test_tokenizer_without_padding_is_refused(tiny):
    tiny[1].pad_token = None
    with pytest.raises(InputError, match="no padding token"):
        encode_texts(tiny[1], ["good"], 16)
