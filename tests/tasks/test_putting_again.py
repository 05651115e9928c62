"""A sweep's removal that comes between a blob and the message that names it: the blob is put once more."""

import pytest

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.state import RunState
from infra.layout import architecture_key, model_key, plan_key, receipt_key, round_key, update_key
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks.coordinator import opening
from tasks.coordinator.opening import open_run
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.tuning import FILE, Tuned, propose
from tasks.models import model_file
from tasks.party.session import PartySession
from tasks.party.submission import submit_update
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import ARCHITECTURE, PARTIES, FinishedRun, model_bytes, scores

PARTY = "shop-a"
BASE, MODEL, UPDATE = (model_bytes(seed, 0.1) for seed in (1, 2, 3))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as home:
        yield FinishedRun(home, "taken-1")


@pytest.fixture
def sweeping(monkeypatch):
    """Let a removal of `blobs` reach the store right before the message at `key` does."""

    def sweep_before(key: str, *blobs: str) -> None:
        create = ObjectStore.create

        def removed_before(self, created, data):
            if created == key:
                assert all(self.exists(blob) for blob in blobs), "they were put before"
                for blob in blobs:
                    self.delete(blob)
            return create(self, created, data)

        monkeypatch.setattr(ObjectStore, "create", removed_before)

    return sweep_before


def coordinator(played, name: str) -> CoordinatorRun:
    return CoordinatorRun(name, load_role_settings(played.home, "coordinator"))


def put_local(path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_base_model_and_architecture_of_a_new_run(played, sweeping, monkeypatch):
    run = coordinator(played, "fresh-1")
    base, architecture = sha256_hex(BASE), sha256_hex(ARCHITECTURE)
    changes = {"run": "fresh-1", "base_model_sha256": base, "architecture_sha256": architecture}
    plan = played.plan.model_copy(update=changes)

    def build(run, recipe, parties, *_where):
        path = model_file(run.models, base)
        put_local(path, BASE)
        run.publisher.publish(path, base)
        run.store.put_blob(architecture_key(architecture), ARCHITECTURE)
        return plan, ARCHITECTURE

    monkeypatch.setattr(opening, "_build_plan", build)  # which would need a real model
    sweeping(plan_key("fresh-1"), model_key(base), architecture_key(architecture))
    assert open_run.fn(run, plan.recipe, PARTIES) == base
    assert run.store.holds(model_key(base), base)
    assert run.store.holds(architecture_key(architecture), architecture)


def test_a_candidates_model(played, sweeping):
    run = coordinator(played, played.run)
    run.hold(RunState(plan=played.plan, head=played.head), "")
    sha256 = sha256_hex(MODEL)
    put_local(run.round_folder(1) / FILE, MODEL)
    tuned = Tuned(file=FILE, sha256=sha256, aggregate_sha256=sha256, metrics=scores(0.7), fine_tuning=None)
    sweeping(round_key(played.run, 1, "candidate"), model_key(sha256))
    assert propose.fn(run, 1, tuned).model_sha256 == sha256
    assert run.store.holds(model_key(sha256), sha256)


def test_a_partys_update(played, sweeping):
    session = PartySession(played.run, load_role_settings(played.home, PARTY))
    session.plan = played.plan
    sha256 = sha256_hex(UPDATE)
    put_local(session.round_folder(1) / "update.safetensors", UPDATE)
    sweeping(receipt_key(PARTY, played.run, 1), update_key(PARTY, sha256))
    protected = {"sha256": sha256, "norm": 1.0}
    submit_update.fn(session, played.announce(1), {"num_examples": 10.0}, protected, "")
    assert session.store.holds(update_key(PARTY, sha256), sha256)
