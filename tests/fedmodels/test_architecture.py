import io
import json
import os
import zipfile

import pytest

from fedmodels.architecture import ALLOWED_FILES, SIZE_LIMIT, pack_architecture, unpack_architecture
from fedmodels.errors import InputError, IntegrityError

CONFIG = json.dumps({"model_type": "bert"})


def zipped(*files, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "vocab.txt").write_text("[PAD]\n[UNK]")
    (source / "config.json").write_text(CONFIG)
    (source / "model.safetensors").write_bytes(b"weights")
    (source / "modeling_own.py").write_text("print('run me')")
    (source / "README.md").write_text("about")
    return source


def test_round_trip_keeps_configuration_and_tokenizer_alone(folder, tmp_path):
    unpack_architecture(pack_architecture(folder), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "vocab.txt"]
    assert (tmp_path / "out" / "vocab.txt").read_text() == "[PAD]\n[UNK]"


def test_unpacking_again_leaves_whole_what_another_process_reads(folder, tmp_path):
    archive, out = pack_architecture(folder), tmp_path / "out"
    unpack_architecture(archive, out)
    with (out / "vocab.txt").open() as read_by_another:
        unpack_architecture(archive, out)
        assert os.fstat(read_by_another.fileno()).st_nlink == 0, "it was replaced, and not emptied and filled"
        assert read_by_another.read() == "[PAD]\n[UNK]"
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "vocab.txt"]


def test_equal_files_give_equal_bytes_whatever_their_age_and_order(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "vocab.txt"):
        (other / name).write_bytes((folder / name).read_bytes())
    import os

    os.utime(other / "vocab.txt", (1_000_000_000, 1_000_000_000))
    assert pack_architecture(folder) == pack_architecture(other)


def test_other_files_give_other_bytes(folder):
    before = pack_architecture(folder)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\nword")
    assert pack_architecture(folder) != before


def test_no_weights_and_no_code_are_on_the_list():
    assert not [
        name for name in ALLOWED_FILES if name.endswith((".py", ".safetensors", ".bin", ".pt", ".pkl"))
    ]


def test_folder_without_configuration_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        pack_architecture(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "/etc/passwd",
        "a/config.json",
        "model.safetensors",
        "own.py",
        "..\\vocab.txt",
        "config.json/",
    ],
)
def test_other_names_are_refused_and_nothing_is_written(tmp_path, name):
    out = tmp_path / "deep" / "out"
    with pytest.raises(IntegrityError, match="no model needs"):
        unpack_architecture(zipped(("config.json", CONFIG), (name, "x")), out)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match="twice"):
        unpack_architecture(zipped(("config.json", CONFIG), ("config.json", CONFIG)), tmp_path / "out")


def test_a_compressed_bomb_is_refused_before_it_grows(tmp_path):
    bomb = zipped(
        ("config.json", CONFIG), ("vocab.txt", b"\0" * 20_000_000), compression=zipfile.ZIP_DEFLATED
    )
    assert len(bomb) < 100_000
    with pytest.raises(IntegrityError, match="compressed"):
        unpack_architecture(bomb, tmp_path / "out")


def test_a_size_that_the_archive_claims_is_held_against_the_limit(tmp_path):
    data = bytearray(zipped(("config.json", CONFIG), ("vocab.txt", "word")))
    entry = data.rindex(b"PK\x01\x02")
    for field in (20, 24):
        data[entry + field : entry + field + 4] = (SIZE_LIMIT + 1).to_bytes(4, "little")
    with pytest.raises(IntegrityError, match="unpacks to more"):
        unpack_architecture(bytes(data), tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x05\x06" + b"\0" * 18])
def test_bytes_that_are_no_archive_are_refused(tmp_path, data):
    with pytest.raises(IntegrityError):
        unpack_architecture(data, tmp_path / "out")


def test_flipped_byte_is_found_by_the_checksum(tmp_path):
    data = zipped(("config.json", CONFIG), ("vocab.txt", "word"))
    place = data.index(b"word")
    with pytest.raises(IntegrityError):
        unpack_architecture(data[:place] + b"W" + data[place + 1 :], tmp_path / "out")


@pytest.mark.parametrize(
    "config", ["[1]", "{", "{}", json.dumps({"model_type": "x", "auto_map": {"A": "own.A"}})]
)
def test_configuration_that_is_none_or_asks_for_code_is_refused(tmp_path, config):
    with pytest.raises(IntegrityError):
        unpack_architecture(zipped(("config.json", config)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
