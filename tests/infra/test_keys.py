"""Keys: made once, private, refused when garbled; signatures bind message and key."""

import base64
from pathlib import Path

import pytest

from fedmodels.errors import InputError
from infra.keys import (
    data_hash_key,
    ensure_model_key,
    ensure_private_key,
    load_model_key,
    load_private_key,
    public_key,
    role_model_key,
    sign,
    verify,
)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "party" / "signing-key.pem"
    ensure_private_key(path)
    return path


def test_a_key_is_made_once_and_readable_by_its_owner_alone(key_file: Path):
    first = key_file.read_bytes()
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert public_key(ensure_private_key(key_file)) == public_key(load_private_key(key_file))
    assert key_file.read_bytes() == first
    assert [path.name for path in key_file.parent.iterdir()] == [key_file.name]


def test_a_signature_binds_message_and_key(key_file: Path, tmp_path: Path):
    key, other = load_private_key(key_file), ensure_private_key(tmp_path / "other.pem")
    signature = sign(key, b"round 3")
    assert verify(public_key(key), b"round 3", signature)
    assert sign(key, b"round 3") == signature
    assert not verify(public_key(key), b"round 4", signature)
    assert not verify(public_key(other), b"round 3", signature)


@pytest.mark.parametrize("garbled", ["", "not base64!", "AAAA", "é", base64.b64encode(bytes(64)).decode()])
def test_a_garbled_signature_or_public_key_is_not_valid_and_raises_nothing(key_file: Path, garbled: str):
    key = load_private_key(key_file)
    assert not verify(public_key(key), b"message", garbled)
    assert not verify(garbled, b"message", sign(key, b"message"))


def test_the_public_key_is_32_bytes(key_file: Path):
    assert len(base64.b64decode(public_key(load_private_key(key_file)))) == 32


def test_the_data_hash_key_is_stable_differs_per_party_and_is_not_the_private_key(
    key_file: Path, tmp_path: Path
):
    key, other = load_private_key(key_file), ensure_private_key(tmp_path / "other.pem")
    assert data_hash_key(key) == data_hash_key(load_private_key(key_file))
    assert len(data_hash_key(key)) == 32
    assert data_hash_key(key) != data_hash_key(other)
    assert data_hash_key(key) != key.private_bytes_raw()


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff"]
)
def test_a_garbled_key_file_is_one_sentence(tmp_path: Path, content: bytes):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match="not an Ed25519 key") as caught:
        load_private_key(path)
    assert caught.value.code == "key-invalid"
    assert str(tmp_path) not in str(caught.value)


def test_a_key_of_another_kind_is_refused(tmp_path: Path):
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = tmp_path / "key.pem"
    path.write_bytes(
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    path.chmod(0o600)
    with pytest.raises(InputError, match="not an Ed25519 key"):
        load_private_key(path)


def test_a_missing_key_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(InputError, match="fedcart up") as caught:
        load_private_key(tmp_path / "none.pem")
    assert caught.value.code == "key-missing"


def test_a_key_that_others_may_read_is_refused(key_file: Path):
    key_file.chmod(0o644)
    with pytest.raises(InputError, match="0644") as caught:
        load_private_key(key_file)
    assert caught.value.code == "key-exposed"


def test_a_key_for_models_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path):
    made = ensure_model_key(tmp_path / "models.pem")
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.public.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert ensure_model_key(tmp_path / "models.pem") == load_model_key(made.path) == made
    assert ensure_model_key(tmp_path / "others.pem").public != made.public


def test_a_key_that_signs_no_models_is_one_sentence(key_file: Path, tmp_path: Path):
    made = ensure_model_key(tmp_path / "models.pem")
    with pytest.raises(InputError, match="not a key of the curve P-256") as caught:
        load_model_key(key_file)
    assert caught.value.code == "key-invalid"
    made.path.chmod(0o640)
    with pytest.raises(InputError, match="The key that signs models has mode 0640") as caught:
        load_model_key(made.path)
    assert caught.value.code == "key-exposed"
    made.path.unlink()
    for path in (made.path, None):
        with pytest.raises(InputError, match="run fedcart up") as caught:
            role_model_key(path, "coordinator")
        assert caught.value.code == "key-missing"


def test_a_key_of_another_curve_signs_no_models(tmp_path: Path):
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path = tmp_path / "key.pem"
    key = generate_private_key(SECP384R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(InputError, match="not a key of the curve P-256"):
        load_model_key(path)
