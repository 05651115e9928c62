"""Two real models of a few hundred weights, scored on real tables, and the report that comes of it."""

import numpy as np
import pytest

from fedmodels.architecture import pack_architecture
from fedmodels.classifier import build_classifier, parameter_specs, save_architecture, write_parameters
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.recipe import ModelConfig
from fedmodels.toy_model import write_toy_model
from infra.layout import architecture_key, model_key
from infra.settings import load_role_settings
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import KeptModel
from tasks.release.report import build_report
from tasks.release.requesting import open_release
from tasks.release.scoring import check_comparable, model_bytes, score_model
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

LABELS = ("bad", "good")
TEXTS = tuple(f"text number {n} of the {'camera' if n % 3 else 'phone'}" for n in range(60))
ROWS = LabelledTexts(TEXTS, tuple(LABELS[n % 2] for n in range(60)))


class RealRun(FinishedRun):
    """One round whose model is a small transformer with weights drawn from the seed."""

    def __init__(self, home, run, folder, seed):
        super().__init__(home, run, seed)
        source = write_toy_model(folder / "toy")
        model, tokenizer = build_classifier(source, ModelConfig(max_length=32), LABELS, seed)
        save_architecture(model, tokenizer, folder / "architecture")
        archive = pack_architecture(folder / "architecture")
        self.store.put_blob(architecture_key(sha256_hex(archive)), archive)
        write_parameters(model, folder / "weights.safetensors")
        self.weights = (folder / "weights.safetensors").read_bytes()
        self.plan = self.plan.model_copy(
            update={
                "architecture_sha256": sha256_hex(archive),
                "parameters": parameter_specs(model),
                "labels": LABELS,
            }
        )

    def average(self, decision):
        return self.weights

    def kept(self) -> KeptModel:
        self.play(1, dict.fromkeys(PARTIES, 1), accuracy=0.7)
        self.close()
        record = self.records[0]
        candidate = self.propose(self.decide(1, dict.fromkeys(PARTIES, 1), {}), 0.7, tuned=False)
        return KeptModel(self.plan, candidate, record)


@pytest.fixture(scope="module")
def models(home, tmp_path_factory) -> list[KeptModel]:
    return [
        RealRun(home, f"real-{seed}", tmp_path_factory.mktemp(f"real-{seed}"), seed).kept() for seed in (1, 2)
    ]


@pytest.fixture
def desk(home, models, tmp_path) -> ReleaseDesk:
    tables = {}
    for name in ("validation", "holdout"):
        write_table(ROWS, tmp_path / f"{name}.parquet")
        tables[name] = tmp_path / f"{name}.parquet"
    made = ReleaseDesk(models[0].run, load_role_settings(home, "coordinator"))
    made.tables = {"tiny": type("Tables", (), tables)}
    made.cache = tmp_path / "cache"
    return made


def test_a_model_is_scored_row_by_row_and_timed(desk, models):
    found = score_model(desk, models[0])
    assert found.validation == found.holdout, "both tables hold the same rows here"
    assert found.validation.num_examples == len(found.rows) == 60
    assert found.rows.accuracy == found.validation.accuracy
    assert 0.0 < found.latency_ms < 10_000.0
    assert not list(desk.folder.glob("release-*")), "no copy of the model stays"


def test_what_was_scored_before_is_scored_no_more(desk, models, monkeypatch):
    first, champion = score_model(desk, models[0]), score_model(desk, models[1], compared=True)
    monkeypatch.setattr("fedmodels.workbench.compute_logits", None)
    again = score_model(desk, models[0])
    assert (again.validation, again.holdout) == (first.validation, first.holdout)
    assert np.array_equal(again.rows.losses, first.rows.losses)
    monkeypatch.setattr("tasks.release.scoring.fetch_model", None)
    held_against = score_model(desk, models[1], compared=True)
    assert held_against.validation == champion.validation
    assert np.array_equal(held_against.rows.losses, champion.rows.losses)


def test_other_rows_are_scored_anew(desk, models, tmp_path):
    before = score_model(desk, models[0])
    fewer = LabelledTexts(ROWS.texts[1:], ROWS.labels[1:])
    for name in ("validation", "holdout"):
        write_table(fewer, tmp_path / f"{name}.parquet")
    after = score_model(desk, models[0])
    assert after.validation.num_examples == after.holdout.num_examples == len(fewer)
    assert np.allclose(after.rows.losses, before.rows.losses[1:], atol=1e-5)


def test_two_models_differ_and_one_repeats_itself(desk, models):
    first, again, other = (score_model(desk, models[n], compared=True) for n in (0, 0, 1))
    assert np.array_equal(first.rows.losses, again.rows.losses)
    assert not np.array_equal(first.rows.losses, other.rows.losses)
    assert first.holdout is None


def test_weights_that_are_not_finite_have_no_scores(desk, models, monkeypatch):
    damage = np.full(len(TEXTS), np.nan)
    monkeypatch.setattr("fedmodels.workbench.compute_logits", lambda *_: np.stack([damage, damage], axis=1))
    for _ in range(2):  # computed, and as it was kept
        found = score_model(desk, models[0])
        assert (found.validation, found.rows, found.holdout) == (None, None, None)


def test_a_missing_table_a_strange_label_and_a_missing_model_are_refused(desk, models, tmp_path):
    strange = LabelledTexts(("a", "b"), ("good", "great"))
    write_table(strange, tmp_path / "validation.parquet")
    with pytest.raises(InputError, match="'great', which the model of run") as caught:
        score_model(desk, models[0])
    assert caught.value.code == "labels-unknown"
    desk.tables = {}
    with pytest.raises(InputError) as caught:
        score_model(desk, models[0])
    assert caught.value.code == "table-missing"
    with pytest.raises(IntegrityError) as caught:
        model_bytes(desk.store, "0" * 64)
    assert caught.value.code == "model-missing"


def test_models_of_other_labels_are_not_compared(models):
    other = KeptModel(
        models[1].plan.model_copy(update={"labels": ("bad", "fair", "good")}),
        models[1].candidate,
        models[1].record,
    )
    check_comparable(models[0], None)
    with pytest.raises(RunConflict) as caught:
        check_comparable(models[0], other)
    assert caught.value.code == "labels-differ"


def test_the_report_is_of_its_request_and_repeats_itself(desk, models, monkeypatch):
    by_run = {kept.run: kept for kept in models}
    monkeypatch.setattr("tasks.release.report.kept_model", lambda _store, run: by_run[run])
    monkeypatch.setattr("fedmodels.workbench.measure_latency", lambda *_: 2.5)
    first, second = models
    request = open_release(
        desk.store, "tiny", "ticket", run=first.run, round_number=1, model_sha256=first.sha256
    ).model_copy(
        update={"champion_release": 4, "champion_run": second.run, "champion_model_sha256": second.sha256}
    )
    report = build_report(desk, request)
    assert build_report(desk, request) == report
    assert report.request_sha256 == sha256_hex(canonical_json(request))
    assert report.champion_validation == score_model(desk, second, compared=True).validation
    found = {check.name: check for check in report.checks}
    assert found["size"].value == len(desk.store.read(model_key(first.sha256)))
    assert found["latency"].value == 2.5
    assert {name for name in found if name.startswith("party/") and name.endswith("/drop")} == {
        f"party/{party}/drop" for party in PARTIES
    }
    assert {"slice/label=bad", "slice/label=good", "non-inferiority", "data-contracts"} <= set(found)
    lonely = build_report(desk, request.model_copy(update={"champion_release": None, "champion_run": None}))
    assert lonely.champion_validation is None
    assert {check.name: check for check in lonely.checks}["non-inferiority"].verdict == "not-checked"
