"""Signatures of model folders, made and verified by the package model-signing, with a key of our own.

A signature is one file in the bundle format of Sigstore. It holds the hash of every file of the folder and
the names of those that it leaves out; neither a service nor a certificate takes part. Whoever has the folder,
the signature and the public key verifies it with `model_signing verify key`.
"""

import base64
import json
import tempfile
from pathlib import Path

from fedmodels.full_disk import full_disk_told
from infra.file_hash import file_sha256
from infra.keys import ModelKey

SIGNATURE = "model.sig"
CARD = "README.md"
UNSIGNED = (SIGNATURE, CARD)
"""Files of the folder that the signature leaves out, and names as such: itself, and the card, which is made
of what is known only after the model was signed."""
_BROKEN = (ValueError, TypeError, LookupError, AttributeError)
"""What model-signing raises of a bundle that is none, or whose signature is not that of its content."""


def sign_folder(folder: Path, key: ModelKey) -> bytes:
    """The signature of all files of a folder but `UNSIGNED`; it calls the model by the folder's name.

    Raises:
        InputError: the disk is full.
    """
    from model_signing import hashing, signing

    left_out = hashing.Config().set_ignored_paths(paths=UNSIGNED)  # type: ignore[no-untyped-call]
    signer = signing.Config()  # type: ignore[no-untyped-call]  # its own, both
    signer.use_elliptic_key_signer(private_key=key.path).set_hashing_config(left_out)
    with full_disk_told(SIGNATURE), tempfile.TemporaryDirectory() as place:
        written = Path(place) / SIGNATURE
        signer.sign(folder, written)
        return written.read_bytes()


def signature_fault(folder: Path, signature: bytes, public: bytes) -> str:
    """Why a folder is not what was signed, as the predicate of a sentence; empty when it is.

    Args:
        folder: of the model.
        signature: the bundle.
        public: the public half of the key that must have signed it, PEM.

    Raises:
        InputError: the disk is full.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    with tempfile.TemporaryDirectory() as place:
        bundle, key = Path(place) / SIGNATURE, Path(place) / "key.pub"
        with full_disk_told(SIGNATURE):
            bundle.write_bytes(signature)
            key.write_bytes(public)
        verifier = verifying.Config()  # type: ignore[no-untyped-call]  # its own
        try:
            verifier.use_elliptic_key_verifier(public_key=key).verify(folder, bundle)
        except InvalidSignature:
            return "has a signature that was changed"
        except _BROKEN as error:
            if str(error).startswith("Key mismatch"):
                return "is signed with another key than the coordinator's"
            if not str(error).startswith("Signature mismatch"):
                return "has a signature that cannot be read"
            return f"is not as it was signed: {_differing(folder, signature)}"
    return ""


def _differing(folder: Path, signature: bytes) -> str:
    """Which file differs from a signature that is valid, in words."""
    payload = json.loads(base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))
    signed = {each["name"]: each["digest"] for each in payload["predicate"]["resources"]}
    there = {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()
    }
    added = there.keys() - signed.keys() - set(UNSIGNED)
    changed = [name for name, digest in signed.items() if there.get(name, digest) != digest]
    how = {
        **dict.fromkeys(changed, "has changed"),
        **dict.fromkeys(signed.keys() - there.keys(), "is missing"),
        **dict.fromkeys(added, "was added"),
    }
    name = min(how)
    more = f", and {len(how) - 1} more of its files" if len(how) > 1 else ""
    return f"{name} {how[name]}{more}"
