"""Two real models of a few hundred weights, scored on real tables, and the report that comes of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fedmodels.architecture import pack_architecture
from fedmodels.classifier import build_classifier, parameter_specs, save_architecture, write_parameters
from fedmodels.data.pinned import pin
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Plan
from fedmodels.recipe import ModelConfig
from fedmodels.toy_model import write_toy_model
from infra.layout import architecture_key, model_key
from infra.settings import load_role_settings
from tasks import workbenches
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import finite_scores, load_workbench
from tasks.environment import this_environment
from tasks.models import fetch_model
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import KeptModel
from tasks.release.report import build_report, cut_otherwise
from tasks.release.requesting import open_release
from tasks.release.scoring import check_comparable, model_bytes, score_model
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun

LABELS = ("bad", "good")
TEXTS = tuple(f"text number {n} of the {'camera' if n % 3 else 'phone'}" for n in range(60))
ROWS = LabelledTexts(TEXTS, tuple(LABELS[n % 2] for n in range(60)))
FEWER = LabelledTexts(ROWS.texts[1:], ROWS.labels[1:])

HERE = this_environment(1).model_copy(update={"code": "c" * 40, "modified": False})
"""Of a checkout that holds nothing but its commit."""


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
def desk(home, models, tmp_path, monkeypatch) -> ReleaseDesk:
    tables = {}
    for name in ("validation", "holdout"):
        write_table(ROWS, tmp_path / f"{name}.parquet")
        tables[name] = tmp_path / f"{name}.parquet"
    made = ReleaseDesk(models[0].run, load_role_settings(home, "coordinator"))
    made.tables = {"tiny": type("Tables", (), tables)}
    made.cache = tmp_path / "cache"
    monkeypatch.setattr(workbenches, "this_environment", lambda _threads: HERE)
    return made


def round_of(desk: ReleaseDesk, plan: Plan) -> CoordinatorRun:
    """The coordinator of the plan's run, with the desk's sets."""
    run = CoordinatorRun(plan.run, load_role_settings(desk.recorder.folder.parent, "coordinator"))
    run.cache, run.threads = desk.cache, desk.threads
    run.sets = {name: desk.own_set("tiny", name) for name in ("validation", "holdout")}
    run.sets["public"] = run.sets["validation"]
    run.hold(SimpleNamespace(plan=plan), "")
    return run


def score_in_the_round(run: CoordinatorRun, kept: KeptModel, folder: Path) -> None:
    load_workbench.fn(run)
    path, _ = fetch_model(run.store, kept.sha256, folder)
    run.workbench.load(path, kept.sha256)
    for name in ("validation", "holdout"):
        assert finite_scores(run, run.workbench, name) is not None


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


def test_a_release_takes_what_the_round_made_of_the_same_rows(desk, models, tmp_path, monkeypatch):
    run = round_of(desk, models[0].plan)
    score_in_the_round(run, models[0], tmp_path)
    in_round = finite_scores(run, run.workbench, "validation")
    monkeypatch.setattr("fedmodels.workbench.compute_logits", None)
    found = score_model(desk, models[0])
    assert found.validation == found.holdout == in_round, "both tables hold the same rows here"


def test_a_repetition_scores_for_itself(desk, models, tmp_path, monkeypatch):
    plan = models[0].plan.model_copy(update={"repeats": "an-earlier-one"})
    score_in_the_round(round_of(desk, models[0].plan), models[0], tmp_path)
    monkeypatch.setattr("fedmodels.workbench.compute_logits", None)
    with pytest.raises(TypeError):
        score_in_the_round(round_of(desk, plan), models[0], tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        {"code": "d" * 40},
        {"constraints_sha256": "e" * 64},
        {"torch": "9.9"},
        {"device": "H100"},
        {"instruction_set": "AVX"},
        {"threads": 64},
        {"modified": True},
        {"code": ""},
    ],
    ids=str,
)
def test_what_was_computed_by_other_means_is_scored_anew(desk, models, monkeypatch, other):
    score_model(desk, models[0])
    monkeypatch.setattr(workbenches, "this_environment", lambda _: HERE.model_copy(update=other))
    monkeypatch.setattr("fedmodels.workbench.compute_logits", None)
    with pytest.raises(TypeError):
        score_model(desk, models[0], compared=True)


def test_another_architecture_or_length_is_scored_anew(desk, models, monkeypatch):
    score_model(desk, models[0])
    plan = models[0].plan
    shorter = plan.recipe.model_copy(update={"model": plan.recipe.model.model_copy(update={"max_length": 8})})
    monkeypatch.setattr("fedmodels.workbench.compute_logits", None)
    with pytest.raises(TypeError):
        score_model(desk, replace(models[0], plan=plan.model_copy(update={"recipe": shorter})))
    archive = desk.store.read(architecture_key(plan.architecture_sha256)) + b" "
    desk.store.put_blob(architecture_key(sha256_hex(archive)), archive)
    other = plan.model_copy(update={"architecture_sha256": sha256_hex(archive)})
    with pytest.raises(TypeError):
        score_model(desk, replace(models[0], plan=other))


def test_other_rows_are_scored_anew(desk, models, tmp_path):
    before = score_model(desk, models[0])
    for name in ("validation", "holdout"):
        write_table(FEWER, tmp_path / f"{name}.parquet")
    after = score_model(desk, models[0])
    assert after.validation.num_examples == after.holdout.num_examples == len(FEWER)
    assert np.allclose(after.rows.losses, before.rows.losses[1:], atol=1e-5)


def test_two_models_differ_and_one_repeats_itself(desk, models):
    first, again, other = (score_model(desk, models[n], compared=True) for n in (0, 0, 1))
    assert np.array_equal(first.rows.losses, again.rows.losses)
    assert not np.array_equal(first.rows.losses, other.rows.losses)
    assert first.holdout is None


def test_weights_that_are_not_finite_have_no_scores(desk, models, monkeypatch):
    damage = np.full(len(TEXTS), np.nan)
    monkeypatch.setattr("fedmodels.workbench.compute_logits", lambda *_: np.stack([damage, damage], axis=1))
    for compared in (False, True, True):
        found = score_model(desk, models[0], compared=compared)
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


def test_another_seed_section_or_validation_set_cuts_rows_otherwise(models):
    plan, now = models[0].plan, ROWS
    assert cut_otherwise(plan, plan, now) == ""
    reseeded = plan.model_copy(update={"recipe": plan.recipe.model_copy(update={"seed": 7})})
    assert cut_otherwise(plan, reseeded, now) == f"its seed was {plan.recipe.seed} and is 7"
    section = plan.recipe.data.model_copy(update={"holdout_share": 0.35})
    shared = plan.model_copy(update={"recipe": plan.recipe.model_copy(update={"data": section})})
    assert cut_otherwise(plan, shared, now) == "its section data was another"
    parties = dict(list(plan.recipe.data.parties.items())[1:])
    fewer = plan.recipe.model_copy(update={"data": plan.recipe.data.model_copy(update={"parties": parties})})
    joined = plan.model_copy(update={"recipe": fewer})
    assert cut_otherwise(joined, plan, now) == cut_otherwise(plan, joined, now) == ""
    judged = plan.model_copy(update={"sets": {"validation": pin(ROWS)}})
    assert cut_otherwise(judged, judged, now) == cut_otherwise(plan, judged, now) == ""
    for before, candidate in ((judged, plan), (plan, judged)):
        assert cut_otherwise(before, candidate, FEWER) == "the validation set is another now"


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
    assert "champion-rows" not in found
    lonely = build_report(desk, request.model_copy(update={"champion_release": None, "champion_run": None}))
    assert lonely.champion_validation is None
    assert {check.name: check for check in lonely.checks}["non-inferiority"].verdict == "not-checked"
