"""A released toy transformer in a real store, and parties with real tables that trained it."""

from pathlib import Path

import numpy as np

from fedmodels.architecture import pack_architecture
from fedmodels.classifier import build_classifier, parameter_specs, save_architecture, write_parameters
from fedmodels.data.prepared import keyed_data_hash, prepare_party_tables
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Plan, Receipt
from fedmodels.recipe import ModelConfig, Recipe
from fedmodels.toy_model import write_toy_model
from infra.keys import data_hash_key, load_private_key, public_key
from infra.layout import architecture_key, model_key, plan_key, receipt_key
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from tasks.drift.desk import DriftDesk
from tasks.exchange import create_message, create_signed
from tasks.party.kept_rows import drift_folder, keep_rows
from tasks.release.promoting import promote
from tasks.release.requesting import open_release
from tests.store_alone import store_of
from tests.tasks.release.released_models import reported, undocumented

PARTIES = ("shop-a", "shop-b")
LABELS = ("bad", "good")
REVIEWS, TWEETS = (
    words.split()
    for words in (
        "the camera zoom battery lens takes sharp photos of a screen and i love this phone",
        "omg lol rt gonna wanna dunno yall bruh smh tbh ikr fomo yolo hmu imo",
    )
)


def sentences(words, rows, seed, start=0) -> LabelledTexts:
    """Rows of eight drawn words and a number, so that no two are equal."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(words, 8)) + f" {start + row}" for row in range(rows)]
    return LabelledTexts(tuple(texts), tuple(LABELS[int(rng.random() < 0.6)] for _ in texts))


class Champion:
    """One recipe with a released model; parties bring the tables that a test writes for them."""

    def __init__(self, home: Path, recipe: str, folder: Path, **drift) -> None:
        self.home, self.folder, self.store = home, folder, store_of(home, "coordinator")
        self.recipe = Recipe.model_validate(
            {
                "name": recipe,
                "data": {
                    "parties": {party: {"train": "own"} for party in PARTIES},
                    "coordinator": {"table": "own"},
                },
                "model": {"max_length": 32},
                "drift": {"min_rows": 50, "needed": 2, "of": 2, **drift},
            }
        )
        self.keys = {
            party: load_private_key(load_role_settings(home, party).signing_key) for party in PARTIES
        }
        self.number = 0
        self.run = ""

    def path(self, party: str, table: str) -> Path:
        return self.folder / party / f"{table}.parquet"

    def write(self, party: str, table: str, rows: LabelledTexts) -> Path:
        write_table(rows, self.path(party, table))
        tables = {table: str(self.path(party, table))}
        update_role_settings(self.home, party, {"tables": {self.recipe.name: tables}})
        return self.path(party, table)

    def release(self, *, keep: bool = True) -> str:
        """Train nothing, submit what training would, and release a model; return its hash."""
        plan = self.announce()
        weights = (self.folder / "weights.safetensors").read_bytes()
        for party in PARTIES:
            if self.recipe.name in load_role_settings(self.home, party).tables:
                self._submit(party, plan, keep=keep)
        sha256 = sha256_hex(weights)
        self.store.put_blob(model_key(sha256), weights)
        request = open_release(
            self.store, self.recipe.name, self.run, run=self.run, round_number=1, model_sha256=sha256
        )
        reported(self.store, request)
        promote(self.store, self.recipe.name, request.release, "ann", undocumented)
        return sha256

    def announce(self) -> Plan:
        """The plan of another run, which begins with that."""
        self.number += 1
        self.run = f"{self.recipe.name}-run-{self.number}"
        plan = self._plan()
        create_message(self.store, plan_key(self.run), plan)
        return plan

    def desk(self, party: str) -> DriftDesk:
        return DriftDesk(self.recipe.name, load_role_settings(self.home, party))

    def _plan(self) -> Plan:
        config = ModelConfig(max_length=32)
        source = write_toy_model(self.folder / "toy")
        model, tokenizer = build_classifier(source, config, LABELS, self.number)
        save_architecture(model, tokenizer, self.folder / "architecture")
        archive = pack_architecture(self.folder / "architecture")
        self.store.put_blob(architecture_key(sha256_hex(archive)), archive)
        base = write_parameters(model, self.folder / "weights.safetensors")
        return Plan(
            run=self.run,
            recipe=self.recipe,
            parties={party: public_key(key) for party, key in self.keys.items()},
            labels=LABELS,
            parameters=parameter_specs(model),
            architecture_sha256=sha256_hex(archive),
            base_model_sha256=base,
            fedcart_version="0.1.0",
        )

    def _submit(self, party: str, plan: Plan, *, keep: bool) -> None:
        settings = load_role_settings(self.home, party)
        tables = settings.tables[self.recipe.name]
        prepared = prepare_party_tables(
            tables.train,
            tables.holdout,
            self.recipe.data,
            LABELS,
            seed=self.recipe.seed,
            fresh=tables.fresh,
        )
        data_hash = keyed_data_hash(prepared.train, data_hash_key(self.keys[party]))
        if keep:
            folder = drift_folder(settings.workspace, self.recipe.name)
            keep_rows(folder, data_hash, prepared, tables, self.recipe, self.run)
        receipt = Receipt(
            run=self.run,
            round=1,
            party=party,
            plan_sha256=sha256_hex(canonical_json(plan)),
            base_sha256=plan.base_model_sha256,
            update_sha256="0" * 64,
            num_examples=len(prepared.train),
            data_hash=data_hash,
        )
        create_signed(store_of(self.home, party), receipt_key(party, self.run, 1), receipt, self.keys[party])
