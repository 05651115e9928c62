"""The pages show a party what is wrong, and fetch nothing from anywhere."""

import re

import pandas as pd
import pytest

from fedmodels.contract_schema import LabelledTextContract
from fedmodels.data.rows import LabelledTexts
from fedmodels.recipe import CoordinatorData, DataConfig, PartyData
from validation.contract import check_batch, check_contract, rows_in_memory
from validation.docs import contract_pages, without_foreign
from validation.engines import frame_batch, quiet_context
from validation.suites.registry import kind_of

SECRET = "jane.doe@example.org"
DATA = DataConfig(
    parties={"shop-a": PartyData(train="a"), "shop-b": PartyData(train="b")},
    coordinator=CoordinatorData(table="own"),
)


@pytest.fixture(scope="module")
def pages():
    rows = LabelledTexts(tuple(f"text {number}" for number in range(30)), (SECRET,) * 30)
    checked = check_contract(rows_in_memory(rows, rows), DATA, ("bad", "good"), LabelledTextContract())
    return contract_pages(*checked, "Contract of <shop>")


def test_a_page_for_each_part_and_an_index(pages):
    assert set(pages) == {"index.html", "train.html", "holdout.html", "facts.html", "labels.html"}
    index = pages["index.html"]
    assert all(f'href="{part}"' in index for part in pages if part != "index.html")
    assert "Contract of &lt;shop&gt;" in index
    assert "expect_column_values_to_be_in_set" in index
    assert "The contract is broken" in index


def test_the_party_reads_which_value_it_was(pages):
    assert SECRET in pages["train.html"]
    assert SECRET not in pages["index.html"]


def test_a_page_loads_nothing_and_runs_no_script(pages):
    for page in pages.values():
        assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b", page, re.IGNORECASE)
        assert not re.search(r"\bsrc=", page)
        head = page[page.index("<head") :]
        assert head.index("default-src 'none'") < head.index("<title")


def test_links_lead_to_pages_that_exist(pages):
    for page in pages.values():
        local = re.findall(r'href="((?!https?:|#)[^"]*)"', page)
        assert set(local) <= set(pages)


def test_a_value_cannot_smuggle_a_script_into_a_page():
    contract = LabelledTextContract()
    suite = kind_of(contract).build(("bad", "good"), DATA, contract, "train", "pandas")
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    frame = pd.DataFrame({"text": ["a"] * 30, "label": [hostile] * 30, "text_folded": ["a"] * 30})
    verdict, result = check_batch(frame_batch(frame), suite, "train", quiet_context())
    page = contract_pages(verdict, {"train": result}, "x")["train.html"]
    assert not re.search(r"<(script|img)\b", page)


def test_a_page_without_a_head_has_the_policy_too():
    assert without_foreign("<p>x</p>").startswith("<meta http-equiv")
