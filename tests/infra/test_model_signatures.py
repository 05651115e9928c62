"""Signatures of model folders: whole, by one key, and verified by the package's own command as well."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from infra.keys import ModelKey, ensure_model_key
from infra.model_signatures import sign_folder, signature_fault


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> ModelKey:
    return ensure_model_key(tmp_path_factory.mktemp("keys") / "key.pem")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "reviews"
    (made / "more").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "more/vocab.txt"):
        (made / name).write_text(f"content of {name}")
    return made


def test_a_folder_is_what_was_signed_whatever_its_name_and_its_card(folder, key):
    signature = sign_folder(folder, key)
    assert signature_fault(folder, signature, key.public) == ""
    (folder / "README.md").write_text("a card")
    (folder / "model.sig").write_bytes(signature)
    renamed = folder.rename(folder.with_name("another"))
    assert signature_fault(renamed, signature, key.public) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda it: (it / "config.json").write_text("other"), "config.json has changed"),
        (lambda it: (it / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda it: (it / "pytorch_model.bin").write_text("a pickle"), "pytorch_model.bin was added"),
        (lambda it: (it / "more" / "vocab.txt").write_text(""), "more/vocab.txt has changed"),
        (
            lambda it: [path.write_text("x") for path in it.glob("*.*")],
            "config.json has changed, and 1 more of its files",
        ),
    ],
)
def test_any_other_byte_is_named(folder, key, change, fault):
    signature = sign_folder(folder, key)
    change(folder)
    assert signature_fault(folder, signature, key.public) == f"is not as it was signed: {fault}"


def altered(signature: bytes, change) -> bytes:
    bundle = json.loads(signature)
    change(bundle)
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["dsseEnvelope"].update(payload=it["dsseEnvelope"]["payload"][:-8] + "ICAgICA="),
        lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="MEUCIQ=="),
    ],
    ids=["payload", "signature"],
)
def test_a_signature_that_was_changed_is_none(folder, key, change):
    changed = altered(sign_folder(folder, key), change)
    assert signature_fault(folder, changed, key.public) == "has a signature that was changed"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.pop("dsseEnvelope"),
        lambda it: it.pop("verificationMaterial"),
        lambda it: it["dsseEnvelope"].update(signatures=[]),
        lambda it: it["verificationMaterial"].pop("publicKey"),
        lambda it: it.update(mediaType="application/json"),
    ],
)
def test_what_is_no_bundle_cannot_be_read(folder, key, change):
    changed = altered(sign_folder(folder, key), change)
    assert signature_fault(folder, changed, key.public) == "has a signature that cannot be read"


@pytest.mark.parametrize("left", [b"", b"\xff", b"[]", b"{}", b"null", b"17"])
def test_garbage_cannot_be_read(folder, key, left):
    assert signature_fault(folder, left, key.public) == "has a signature that cannot be read"


def test_another_keys_signature_is_none(folder, key, tmp_path):
    other = ensure_model_key(tmp_path / "other.pem")
    fault = signature_fault(folder, sign_folder(folder, other), key.public)
    assert fault == "is signed with another key than the coordinator's"


def test_another_keys_signature_is_none_under_the_name_of_the_right_one(folder, key, tmp_path):
    """The bundle says which key made it, and anybody can write that."""
    told = json.loads(sign_folder(folder, key))["verificationMaterial"]
    other = ensure_model_key(tmp_path / "other.pem")
    forged = altered(sign_folder(folder, other), lambda it: it.update(verificationMaterial=told))
    assert signature_fault(folder, forged, key.public) == "has a signature that was changed"


def test_the_packages_own_command_verifies_it(folder, key, tmp_path):
    (folder / "model.sig").write_bytes(sign_folder(folder, key))
    (folder / "README.md").write_text("a card")
    (tmp_path / "key.pub").write_bytes(key.public)

    def verify() -> subprocess.CompletedProcess[str]:
        words = ("verify", "key", "reviews", "--signature", "reviews/model.sig", "--public_key", "key.pub")
        program = [sys.executable, "-m", "model_signing", *words]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = verify()
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr
    (folder / "config.json").write_text("other")
    refused = verify()
    assert refused.returncode == 1
    assert "Hash mismatch for" in refused.stderr and "config.json" in refused.stderr


def test_a_full_disk_is_one_sentence(folder, key, monkeypatch):
    signature = sign_folder(folder, key)

    def full(*_arguments, **_named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)  # by which the package writes
    monkeypatch.setattr(Path, "write_bytes", full)
    for call in (sign_folder, lambda *given: signature_fault(given[0], signature, key.public)):
        with pytest.raises(InputError) as caught:
            call(folder, key)
        assert caught.value.code == "disk-full"


def test_nothing_is_imported_for_it_before_it_is_needed():
    program = "import sys, tasks.release.signing; assert not {'model_signing', 'sigstore'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
