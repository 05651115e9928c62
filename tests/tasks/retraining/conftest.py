"""A champion in a store, and parties that tell of drift without looking at any rows."""

import functools
import itertools

import pytest

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.drift import DriftNotice, DriftScore
from infra.layout import drift_notice_key, role_prefix
from tasks.exchange import create_signed
from tests.store_alone import store_alone, store_of
from tests.tasks.drift.champion import PARTIES, Champion

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


class Telling(Champion):
    """A recipe whose parties leave notices."""

    def __init__(self, home, recipe, folder, **drift) -> None:
        super().__init__(home, recipe, folder, **drift)
        self.model = self.release()

    def notice(self, party, features=("text",), **changes) -> DriftNotice:
        scores = [
            DriftScore(feature=name, measure="psi", effect=0.4, bound=0.2, p_value=0.001) for name in features
        ]
        facts = {
            "party": party,
            "recipe": self.recipe.name,
            "model_sha256": self.model,
            "reference": "a" * 64,
            "window": sha256_hex(str(next(NUMBERS)).encode()),
            "rows": 300,
            "scores": tuple(scores),
        }
        return DriftNotice.model_validate({**facts, **changes})

    def tell(self, party, *, signed_by=None, below=None, **changes) -> str:
        """Leave a notice below a party's prefix, with that party's credentials; return its key."""
        notice = self.notice(party, **changes)
        place = below or party
        key = drift_notice_key(place, notice.recipe, sha256_hex(canonical_json(notice)))
        create_signed(store_of(self.home, place), key, notice, self.keys[signed_by or place])
        return key


@pytest.fixture(scope="module", autouse=True)
def clients():
    """Making a client takes a tenth of a second."""
    one = functools.cache(store_of)
    with pytest.MonkeyPatch.context() as patched:
        for place in ("drift.champion", "retraining.conftest", "retraining.test_watching"):
            patched.setattr(f"tests.tasks.{place}.store_of", one, raising=False)
        yield


@pytest.fixture
def telling(home, tmp_path):
    """Makes a recipe with a champion, in a bucket that holds nothing of other tests."""
    drift = {"quorum": 1, "cool_down": 0.0}
    yield lambda **more: Telling(home, f"recipe-{next(NUMBERS)}", tmp_path, **{**drift, **more})
    for role in ("coordinator", *PARTIES):
        store = store_of(home, role)
        for key in list(store.list_keys(role_prefix(role))):
            store.delete(key)
