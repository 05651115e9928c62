"""What a session knows of its party's rows once they are prepared."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.prepared import keyed_data_hash
from fedmodels.errors import DataRefused, InputError
from fedmodels.protocol.messages import Plan
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData, Recipe
from infra.keys import data_hash_key, ensure_private_key, public_key
from infra.settings import Settings, Tables
from tasks.party.data import check_expectations, data_changed, prepare_data, validate_data
from tasks.party.session import PartySession

ROWS = [(f"text number {number}", str(number % 2)) for number in range(40)]


def write(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))


@pytest.fixture
def session(tmp_path):
    return make_session(tmp_path)


def make_session(tmp_path, contract=None, **tables):
    key = ensure_private_key(tmp_path / "key.pem")
    write(tmp_path / "train.csv", ROWS)
    settings = Settings(
        home=tmp_path / "home",
        role="shop-a",
        signing_key=tmp_path / "key.pem",
        tables={"own": Tables(train=tmp_path / "train.csv", **tables)},
    )
    made = PartySession("run-1", settings)
    parties = {"shop-a": PartyData(train="own"), "shop-b": PartyData(train="own")}
    made.plan = Plan(
        run="run-1",
        recipe=Recipe(
            name="own",
            data=DataConfig(parties=parties, coordinator=CoordinatorData(table="own")),
            contract=LabelledTextContract.model_validate(contract or {}),
        ),
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


def expectations(folder, *entries):
    path = folder / "expectations.yaml"
    path.write_text("expectations:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return path


IN_SET = "{type: expect_column_values_to_be_in_set, kwargs: {column: label, value_set: %s}, severity: %s}"


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_partys_own_expectations_count_like_the_recipes(tmp_path, severity):
    own = expectations(tmp_path, IN_SET % ("[0]", severity))
    session = make_session(tmp_path, expectations=own)
    prepare_data.fn(session)
    if severity == "critical":
        with pytest.raises(DataRefused, match="critical:expect_column_values_to_be_in_set:own"):
            validate_data.fn(session)
    else:
        validate_data.fn(session)
    assert session.report.failed_expectations == (f"{severity}:expect_column_values_to_be_in_set:own",)
    assert session.report.contract_passed is (severity == "warning")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{type: expect_nothing}", "expectation-unknown"),
        ("{type: expect_column_values_to_be_unique, kwargs: {column: nope}}", "expectation-column-missing"),
        ("{type: expect_column_values_to_be_unique, kwargs: {colum: text}}", "expectation-arguments"),
        (IN_SET % ("{$PARAMETER: x}", "critical"), "expectation-arguments"),
    ],
)
def test_wrong_expectations_are_seen_while_joining(tmp_path, entry, code):
    session = make_session(tmp_path, expectations=expectations(tmp_path, entry))
    with pytest.raises(InputError) as caught:
        check_expectations.fn(session)
    assert caught.value.code == code


def test_a_column_of_times_that_is_missing_is_seen_while_joining(tmp_path):
    session = make_session(tmp_path, {"freshness": {"column": "written", "max_age_days": 30}})
    with pytest.raises(DataRefused) as caught:
        check_expectations.fn(session)
    assert caught.value.code == "table-column-missing"


def test_a_table_that_is_missing_is_left_to_whoever_reads_it(tmp_path):
    fresh = {"freshness": {"column": "written", "max_age_days": 30}}
    session = make_session(tmp_path, fresh, expectations=expectations(tmp_path, IN_SET % ("[0]", "warning")))
    (tmp_path / "train.csv").unlink()
    assert check_expectations.fn(session) == "shop-a"


def test_rewritten_expectations_are_a_change_of_the_data(tmp_path):
    own = expectations(tmp_path, IN_SET % ("[0, 1]", "critical"))
    session = make_session(tmp_path, expectations=own)
    prepare_data.fn(session)
    assert not data_changed(session)
    expectations(tmp_path, IN_SET % ("[0]", "critical"))
    assert data_changed(session)


def test_old_rows_are_not_fresh(tmp_path):
    fresh = {"column": "written", "max_age_days": 30, "severity": "critical"}
    session = make_session(tmp_path, {"freshness": fresh})
    rows = "".join(f"text {number},{number % 2},2001-01-01\n" for number in range(40))
    (tmp_path / "train.csv").write_text(f"text,label,written\n{rows}")
    prepare_data.fn(session)
    with pytest.raises(DataRefused, match=r"critical:expect_column_values_to_be_between:facts\.age_days"):
        validate_data.fn(session)


FRESH_DAYS = [("1", 1, True), ("", 1, False), ("1", 100, False)]


@pytest.mark.parametrize(("label", "days", "passes"), FRESH_DAYS)
def test_labelled_fresh_rows_count_for_freshness_and_no_others(tmp_path, label, days, passes):
    fresh = tmp_path / "fresh.csv"
    contract = {"freshness": {"column": "written", "max_age_days": 30, "severity": "critical"}}
    session = make_session(tmp_path, contract, fresh=fresh)

    def rows(name, labels, age):
        day = (datetime.now(UTC) - timedelta(days=age)).date()
        lines = [f"{name} {number},{each},{day}\n" for number, each in enumerate(labels)]
        (tmp_path / f"{name}.csv").write_text("text,label,written\n" + "".join(lines))

    rows("train", "01" * 20, 400)
    rows("fresh", [label] * 4, days)
    assert check_expectations.fn(session) == "shop-a"
    prepare_data.fn(session)
    if passes:
        assert validate_data.fn(session).contract_passed
        return
    with pytest.raises(DataRefused, match=r"facts\.age_days"):
        validate_data.fn(session)


def test_a_fresh_table_with_labels_and_without_times_is_seen_while_joining(tmp_path):
    fresh = tmp_path / "fresh.csv"
    session = make_session(tmp_path, {"freshness": {"column": "written", "max_age_days": 30}}, fresh=fresh)
    (tmp_path / "train.csv").write_text("text,label,written\na,1,2026-01-01\n")
    assert check_expectations.fn(session) == "shop-a", "no file yet"
    fresh.write_text("text\nb\n")
    assert check_expectations.fn(session) == "shop-a", "no labels yet"
    fresh.write_text("text,label\nb,1\n")
    with pytest.raises(DataRefused, match="fresh table") as caught:
        check_expectations.fn(session)
    assert caught.value.code == "table-column-missing"


def test_unchanged_data_are_not_validated_twice(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    first = validate_data.fn(session)
    assert not session.contract.unchanged
    again = make_session(tmp_path)
    prepare_data.fn(again)
    assert validate_data.fn(again) == first
    assert again.contract.unchanged
    write(tmp_path / "train.csv", [*ROWS, ("one more", "1")])
    prepare_data.fn(again)
    validate_data.fn(again)
    assert not again.contract.unchanged


def test_refused_data_that_have_not_changed_stay_refused(tmp_path):
    for unchanged in (False, True):
        session = make_session(tmp_path)
        write(tmp_path / "train.csv", [(text, f"unknown {label}") for text, label in ROWS])
        prepare_data.fn(session)
        with pytest.raises(DataRefused):
            validate_data.fn(session)
        assert session.contract.unchanged is unchanged
        assert session.prepared is None


def test_a_verdict_on_tables_that_changed_meanwhile_is_not_kept(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    write(tmp_path / "train.csv", ROWS[:30])
    validate_data.fn(session)
    again = make_session(tmp_path)
    write(tmp_path / "train.csv", ROWS)
    prepare_data.fn(again)
    validate_data.fn(again)
    assert not again.contract.unchanged


def test_what_great_expectations_says_stays_in_the_partys_folder(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    validate_data.fn(session)
    folder = session.workspace / "contract" / "own"
    assert {path.name for path in folder.iterdir()} >= {"train.json", "index.html", "train.html"}
    outside = [path for path in tmp_path.rglob("*.html") if folder not in path.parents]
    assert outside == []


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="pyspark is installed")
def test_an_engine_that_is_not_installed_is_refused_while_joining(tmp_path):
    session = make_session(tmp_path, {"engine": "spark"})
    with pytest.raises(InputError, match="install the extra") as caught:
        check_expectations.fn(session)
    assert caught.value.code == "engine-missing"
    prepare_data.fn(session)
    with pytest.raises(InputError) as caught:
        validate_data.fn(session)
    assert caught.value.code == "engine-missing"
    assert list((session.workspace / "contract" / "own").iterdir()) == []


@pytest.mark.skipif(find_spec("pyspark") is None, reason="needs the extra spark")
@pytest.mark.parametrize("label", ["0", "2"])
def test_spark_gives_the_verdict_of_pandas(tmp_path, label):
    own = expectations(tmp_path, IN_SET % ("[0]", "warning"))
    failed = {}
    for engine in ("pandas", "spark"):
        session = make_session(tmp_path, {"engine": engine}, expectations=own)
        write(tmp_path / "train.csv", [*ROWS, ("one more", label)])
        prepare_data.fn(session)
        with suppress(DataRefused):
            validate_data.fn(session)
        failed[engine] = session.report.failed_expectations
        assert all(finding.evaluated for finding in session.contract.verdict.findings)
    assert failed["spark"] == failed["pandas"]
