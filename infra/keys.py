"""The secrets of a role: an Ed25519 key that signs its messages and seeds its data hashes.

The coordinator has another one, of the curve P-256, with which it signs the models that it releases: the
package model-signing takes no Ed25519 key.

Private keys lie as PKCS #8 PEM, readable by their owner alone. Public keys of messages travel as the base64
of their 32 raw bytes, those of models as PEM, which model-signing reads.
"""

import base64
import binascii
import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from fedmodels.errors import InputError

PrivateKey = Ed25519PrivateKey
AnyPrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
DATA_HASH_PURPOSE = b"fedcart data hash v1"


@dataclass(frozen=True)
class ModelKey:
    """The key with which the coordinator signs the files of released models."""

    path: Path
    """PEM file of the private half, which model-signing reads itself."""
    public: bytes
    """The public half, PEM: what a reader of a model verifies it with."""


def ensure_private_key(path: Path) -> PrivateKey:
    """Load the key at `path`, or make one there when there is none.

    Raises:
        InputError: what lies there is no Ed25519 key, or others than its owner may read it.
    """
    if not path.exists():
        _create(path, Ed25519PrivateKey.generate)
    return load_private_key(path)


def ensure_model_key(path: Path) -> ModelKey:
    """`ensure_private_key`, for the key that signs models.

    Raises:
        InputError: what lies there is no key of the curve P-256, or others than its owner may read it.
    """
    if not path.exists():
        _create(path, lambda: generate_private_key(SECP256R1()))
    return load_model_key(path)


def role_key(path: Path | None, role: str) -> PrivateKey:
    """The key that a role's settings name.

    Args:
        path: `signing_key` of the settings.
        role: `coordinator`, or the id of the party.

    Raises:
        InputError: they name none; or as `load_private_key`.
    """
    if path is None:
        raise InputError(
            f"The settings of {role} name no signing key",
            fix="run fedcart up, which makes one",
            code="key-missing",
        )
    return load_private_key(path)


def role_model_key(path: Path | None, role: str) -> ModelKey:
    """The key for models that a role's settings name.

    Args:
        path: `model_signing_key` of the settings.
        role: `coordinator`: no party has one.

    Raises:
        InputError: they name none; or as `load_model_key`.
    """
    if path is None:
        raise InputError(
            f"The settings of {role} name no key that signs models",
            fix="run fedcart up, which makes one, or set model_signing_key to a key of your own",
            code="key-missing",
        )
    return load_model_key(path)


def load_private_key(path: Path) -> PrivateKey:
    """Read a private key.

    Raises:
        InputError: the file is missing, garbled or not an Ed25519 key, or others may read it.
    """
    key = _read(path, "signing key")
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("signing key", "an Ed25519 key")
    return key


def load_model_key(path: Path) -> ModelKey:
    """Read the key that signs models.

    Raises:
        InputError: the file is missing, garbled or not a key of the curve P-256, or others may read it.
    """
    key = _read(path, "key that signs models")
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise _no_key("key that signs models", "a key of the curve P-256")
    told = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ModelKey(path.absolute(), told)


def public_key(key: PrivateKey) -> str:
    """The public half, base64 of 32 bytes: what the plan lists per party."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(key: PrivateKey, message: bytes) -> str:
    """Signature of `message`, base64 of 64 bytes. Equal messages have equal signatures."""
    return base64.b64encode(key.sign(message)).decode()


def verify(public: str, message: bytes, signature: str) -> bool:
    """Whether `signature` is that of `message` by the owner of `public`; a garbled one is not."""
    try:
        owner = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        owner.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def data_hash_key(key: PrivateKey) -> bytes:
    """32 bytes for keyed hashes of a party's rows (HKDF-SHA256, RFC 5869, of the private key).

    With it, whoever knows the rows cannot recompute the hash that travels in a receipt.
    """
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=DATA_HASH_PURPOSE)
    return derive.derive(key.private_bytes_raw())


def _read(path: Path, what: str) -> object:
    """What lies in a PEM file that its owner alone may read; `None` where it is no private key."""
    try:
        mode, data = path.stat().st_mode, path.read_bytes()
    except OSError:
        raise InputError(
            f"The {what} cannot be read",
            fix="restore it, or run fedcart up for a new one",
            code="key-missing",
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise InputError(
            f"The {what} has mode {mode & 0o777:04o} and others may read it, 0600 is the most",
            fix="run chmod 600 on it, and make a new key if somebody may have read it",
            code="key-exposed",
        )
    try:
        return load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _no_key(what: str, wanted: str) -> InputError:
    return InputError(
        f"The {what} is not {wanted} in PEM form",
        fix="restore it, or remove it and run fedcart up for a new one",
        code="key-invalid",
    )


def _create(path: Path, generate: Callable[[], AnyPrivateKey]) -> None:
    """Write a new key with mode 0600 from its first byte; a key that appeared meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        Path(part).unlink(missing_ok=True)
