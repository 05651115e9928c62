"""Global models: uploaded once, also when that was begun ahead of time; kept as long as they are needed."""

from pathlib import Path

import pytest

from fedmodels.errors import IntegrityError, StoreUnavailable
from infra.file_hash import file_sha256
from infra.layout import model_key
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks.models import Publisher, adopt_model, fetch_model, forget_models, model_file
from tests.store_alone import store_alone


class Watched(ObjectStore):
    """The real store; counts the uploads, and loses the line before the first few of them."""

    def __init__(self, home: Path, lost: int = 0) -> None:
        settings = load_role_settings(home, "coordinator")
        super().__init__(
            settings.bucket,
            endpoint=settings.s3_endpoint,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        )
        self.uploads = 0
        self.lost = lost

    def upload(self, key: str, path: Path, sha256: str) -> int:
        self.uploads += 1
        if self.uploads <= self.lost:
            raise StoreUnavailable("The line is lost")
        return super().upload(key, path, sha256)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as made:
        yield made


@pytest.fixture
def model(tmp_path) -> tuple[Path, str]:
    path = tmp_path / "made-here.safetensors"
    path.write_bytes(f"weights of {tmp_path.name}".encode())
    return path, file_sha256(path)


def test_what_was_published_ahead_is_not_uploaded_again(home, model):
    store = Watched(home)
    publisher = Publisher(store)
    publisher.publish_ahead(*model)
    publisher.publish(*model)
    assert store.uploads == 1
    assert store.read(model_key(model[1])) == model[0].read_bytes()


def test_another_model_than_the_one_published_ahead_is_uploaded(home, model, tmp_path):
    store = Watched(home)
    publisher = Publisher(store)
    publisher.publish_ahead(*model)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    publisher.publish(other, file_sha256(other))
    assert store.read(model_key(file_sha256(other))) == b"other"


def test_an_upload_that_failed_in_passing_is_tried_again(home, model):
    store = Watched(home, lost=1)
    publisher = Publisher(store)
    publisher.publish_ahead(*model)
    publisher.publish(*model)
    assert store.uploads == 2
    assert store.exists(model_key(model[1]))


def test_a_file_that_is_not_what_its_hash_says_is_told(home, model, tmp_path):
    publisher = Publisher(Watched(home))
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"wrong")
    publisher.publish_ahead(wrong, model[1])
    with pytest.raises(Exception, match="BadDigest"):
        publisher.publish(wrong, model[1])


def test_what_was_made_here_is_never_fetched_and_what_was_not_is_fetched_once(home, model, tmp_path):
    path, sha256 = model
    store = Watched(home)
    store.upload(model_key(sha256), path, sha256)
    size = path.stat().st_size
    assert fetch_model(store, sha256, tmp_path / "party") == (model_file(tmp_path / "party", sha256), size)
    assert fetch_model(store, sha256, tmp_path / "party")[1] == 0
    adopted = adopt_model(path, sha256, tmp_path / "models")
    assert fetch_model(store, sha256, tmp_path / "models") == (adopted, 0)
    with pytest.raises(IntegrityError):
        fetch_model(store, "0" * 64, tmp_path / "models")


def test_only_what_is_needed_is_kept(model, tmp_path):
    folder = tmp_path / "models"
    path, sha256 = model
    adopt_model(path, sha256, folder)
    model_file(folder, "0" * 64).write_bytes(b"old")
    forget_models(folder, keep=frozenset({sha256}))
    assert [kept.stem for kept in folder.iterdir()] == [sha256]
    forget_models(tmp_path / "nothing", keep=frozenset())
