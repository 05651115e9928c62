"""What a session knows of its party's rows once they are prepared."""

import pytest

from fedmodels.data.prepared import keyed_data_hash
from fedmodels.errors import DataRefused
from fedmodels.protocol.messages import Plan
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData, Recipe
from infra.keys import data_hash_key, ensure_private_key, public_key
from infra.settings import Settings, Tables
from tasks.party.data import data_changed, prepare_data, validate_data
from tasks.party.session import PartySession

ROWS = [(f"text number {number}", str(number % 2)) for number in range(40)]


def write(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))


@pytest.fixture
def session(tmp_path):
    key = ensure_private_key(tmp_path / "key.pem")
    write(tmp_path / "train.csv", ROWS)
    settings = Settings(
        home=tmp_path / "home",
        role="shop-a",
        signing_key=tmp_path / "key.pem",
        tables={"own": Tables(train=tmp_path / "train.csv")},
    )
    made = PartySession("run-1", settings)
    parties = {"shop-a": PartyData(train="own"), "shop-b": PartyData(train="own")}
    made.plan = Plan(
        run="run-1",
        recipe=Recipe(name="own", data=DataConfig(parties=parties, coordinator=CoordinatorData(table="own"))),
        parties={"shop-a": public_key(key)},
        labels=("0", "1"),
        parameters=(),
        architecture_sha256="0" * 64,
        base_model_sha256="0" * 64,
        fedcart_version="0",
    )
    return made


def test_the_hash_of_the_rows_goes_with_the_rows(session, tmp_path):
    prepare_data.fn(session)
    first = session.data_hash
    assert first == keyed_data_hash(session.prepared.train, data_hash_key(session.signing_key))
    assert not data_changed(session)
    write(tmp_path / "train.csv", [*ROWS, *((f"one more {number}", "1") for number in range(20))])
    assert data_changed(session)
    prepare_data.fn(session)
    assert session.data_hash not in ("", first)


def test_rows_that_break_their_contract_are_not_kept(session, tmp_path):
    """Neither training nor a score may use them."""
    write(tmp_path / "train.csv", [(text, f"unknown {label}") for text, label in ROWS])
    prepare_data.fn(session)
    assert session.prepared is not None
    with pytest.raises(DataRefused) as caught:
        validate_data.fn(session)
    assert caught.value.code == "contract-failed"
    assert session.prepared is None
    assert not session.report.contract_passed
