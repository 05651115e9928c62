"""A model's configuration and tokenizer as one small archive, without weights and without code.

The coordinator publishes it once a run; each party builds its model from it. The archive comes from
another machine, so unpacking trusts nothing: only known names, only stored members, a bound on sizes.
"""

import io
import json
import zipfile
from pathlib import Path

from fedmodels.errors import InputError, IntegrityError
from fedmodels.parameters.stream import atomic_file

CONFIG = "config.json"
ALLOWED_FILES = frozenset(
    {
        CONFIG,
        "added_tokens.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "sentencepiece.model",
        "source.spm",
        "special_tokens_map.json",
        "spiece.model",
        "spm.model",
        "target.spm",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
SIZE_LIMIT = 128 * 1024 * 1024
"""Bytes of all files together; the largest tokenizers in use take about 35 MB."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_architecture(folder: Path) -> bytes:
    """Zip `config.json` and the tokenizer files of `folder`: equal files give equal bytes.

    Everything else stays out, above all weights and Python files.

    Raises:
        InputError: the folder has no `config.json`, or its files exceed `SIZE_LIMIT`.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"The folder {folder} has no {CONFIG}",
            fix="give a folder that save_pretrained wrote",
            code="model-invalid",
        )
    paths = sorted(path for path in folder.iterdir() if path.name in ALLOWED_FILES and path.is_file())
    size = sum(path.stat().st_size for path in paths)
    if size > SIZE_LIMIT:
        raise InputError(
            f"Configuration and tokenizer take {size} bytes, more than {SIZE_LIMIT}",
            fix="choose another model",
            code="model-invalid",
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            # Written in full rather than by ZipInfo's defaults, which depend on the platform.
            member = zipfile.ZipInfo(path.name, date_time=_EPOCH)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, path.read_bytes())
    return buffer.getvalue()


def unpack_architecture(data: bytes, folder: Path) -> None:
    """Write the archive's files into `folder`, which is created; nothing is written before all is checked.

    Each file appears whole, so that two processes may unpack one archive into one folder.

    Raises:
        InputError: the disk is full.
        IntegrityError: the bytes are no such archive: an unknown or repeated name, a compressed or
            encrypted member, no `config.json`, one that names code to run, or too many bytes.
    """
    if len(data) > SIZE_LIMIT + 1024 * 1024:
        raise _refused(f"takes {len(data)} bytes, more than {SIZE_LIMIT}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members)
            files = {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
        raise _refused("is not a readable zip archive") from None
    _check_config(files[CONFIG])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with atomic_file(folder / name) as target:  # another process may read the same file at this moment
            target.write(content)


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if unknown := [name for name in names if name not in ALLOWED_FILES]:
        raise _refused(f"holds {len(unknown)} files that no model needs, the first {unknown[0][:60]!r}")
    if len(set(names)) < len(names):
        raise _refused("holds one name twice")
    if CONFIG not in names:
        raise _refused(f"has no {CONFIG}")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise _refused("holds a compressed or encrypted file")
    # A stored member cannot grow, but its sizes are only what the archive says.
    if any(member.file_size != member.compress_size for member in members):
        raise _refused("holds a file whose sizes disagree")
    if sum(member.file_size for member in members) > SIZE_LIMIT:
        raise _refused(f"unpacks to more than {SIZE_LIMIT} bytes")


def _check_config(content: bytes) -> None:
    try:
        config = json.loads(content.decode())
    except (ValueError, RecursionError):
        raise _refused(f"has a {CONFIG} that is not JSON") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise _refused(f"has a {CONFIG} without model_type")
    if "auto_map" in config:
        raise _refused("asks for code of its own (auto_map), which fedcart never runs")


def _refused(what: str) -> IntegrityError:
    return IntegrityError(
        f"The archive of the model's architecture {what}",
        fix="have the coordinator open the run again",
        code="architecture-invalid",
    )
