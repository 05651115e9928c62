"""`fedcart data pin | versions | checkout`, at a party with a remote of its own and without a stack."""

import json
import shutil

import pytest

from tests.flows.cli.in_process import call_main

RECIPE = """\
name: mine
data:
  parties:
    shop-a: {train: shop-a.csv}
    shop-b: {train: shop-b.csv}
  coordinator: {table: own.csv}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "mine.yaml").write_text(RECIPE)
    write(tmp_path, 60)
    folder = tmp_path / "home" / "parties" / "shop-a"
    folder.mkdir(parents=True)
    (folder / "fedcart.toml").write_text(
        f'[tables.mine]\ntrain = "{tmp_path}/shop-a.csv"\n[versions]\nremote = "{tmp_path}/remote"\n'
    )
    return tmp_path


def write(place, rows):
    lines = "".join(f"text {number},{number % 2}\n" for number in range(rows))
    (place / "shop-a.csv").write_text(f"text,label\n{lines}")


@pytest.fixture
def fedcart(place, monkeypatch, capsys):
    def run(*words, party="shop-a"):
        called = ["data", *words, "--party", party, "--recipe", str(place / "mine.yaml")]
        return call_main(monkeypatch, capsys, called, FEDCART_HOME=str(place / "home"))

    return run


def test_a_home_that_is_named_from_where_one_stands_is_as_good_and_nothing_above_it_changes(
    place, monkeypatch, capsys
):
    monkeypatch.chdir(place)
    above = [place, *place.parents]
    modes = [folder.stat().st_mode for folder in above]
    words = ["data", "pin", "--party", "shop-a", "--recipe", "mine.yaml"]
    pinned = call_main(monkeypatch, capsys, words, FEDCART_HOME="home")
    assert pinned.returncode == 0, pinned.stderr
    assert "Version 1 of mine at shop-a is new" in pinned.stdout
    shutil.rmtree(place / "home" / "parties" / "shop-a" / "versions" / ".dvc" / "cache")
    words = ["data", "checkout", "1", "--out", "then", *words[2:]]
    back = call_main(monkeypatch, capsys, words, FEDCART_HOME="home")
    assert back.returncode == 0, back.stderr
    assert (place / "then" / "train.csv").read_bytes() == (place / "shop-a.csv").read_bytes()
    assert [folder.stat().st_mode for folder in above] == modes


def test_pinned_listed_and_brought_back(fedcart, place):
    nothing = fedcart("versions").stdout
    assert "Nothing of shop-a is pinned yet; fedcart data pin --party shop-a --recipe " in nothing
    assert "mine.yaml does it." in nothing
    first = fedcart("pin")
    assert first.returncode == 0, first.stderr
    assert "Version 1 of mine at shop-a is new; 60 rows" in first.stdout
    assert "Pushed 1 version to the remote of shop-a." in first.stdout
    again = fedcart("pin").stdout
    assert "Version 1 of mine at shop-a is the newest already: no table differs from it; 60 rows" in again
    assert "Pushed" not in again
    old = (place / "shop-a.csv").read_bytes()
    write(place, 70)
    made = json.loads(fedcart("pin", "--json").stdout)
    assert (made["version"], made["made"], made["pushed_versions"]) == (2, True, 1)
    assert made["tables"]["train"]["columns"] == {"text": "string", "label": "string"}

    found = json.loads(fedcart("versions", "--json").stdout)["versions"]
    assert [(each["version"], each["rows"], each["pushed"], each["runs"]) for each in found] == [
        (1, 60, True, []),
        (2, 70, True, []),
    ]
    shown = [line for line in fedcart("versions").stdout.splitlines() if found[0]["hash"][:12] in line]
    assert shown[0].split()[0] == "1"
    assert len({line.index("yes") for line in fedcart("versions").stdout.splitlines() if "yes" in line}) == 1

    out = place / "out"
    told = fedcart("checkout", found[0]["hash"][:8], "--out", str(out))
    assert told.returncode == 0, told.stderr
    assert (out / "train.csv").read_bytes() == old
    taken = fedcart("checkout", "1", "--out", str(out), "--json")
    assert taken.returncode == 2
    assert json.loads(taken.stdout)["error"]["code"] == "folder-taken"


def test_a_remote_that_is_gone_is_told_once_the_version_is_pinned(fedcart, place):
    (place / "remote").write_text("no folder")
    refused = fedcart("pin", "--json")
    assert refused.returncode == 75
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "remote-unreachable"
    assert "version 1 of mine is pinned here, and nobody knows that it is pushed" in error["message"]
    assert json.loads(fedcart("versions", "--json").stdout)["versions"][0]["pushed"] is False
    (place / "remote").unlink()
    assert "Pushed 1 version" in fedcart("pin").stdout


def test_a_remote_that_was_emptied_gets_the_versions_again(fedcart, place):
    fedcart("pin")
    write(place, 70)
    fedcart("pin")
    assert "Pushed" not in fedcart("pin").stdout
    shutil.rmtree(place / "remote")
    assert "Pushed 2 versions" in fedcart("pin").stdout
    assert "Pushed" not in fedcart("pin").stdout
    assert "Pushed 2 versions" in fedcart("pin", "--push-anew").stdout


@pytest.mark.parametrize(
    ("words", "party", "code", "status"),
    [
        (("pin",), "shop-c", "party-unknown", 2),
        (("pin",), "shop-b", "settings-missing", 2),
        (("checkout", "7", "--out", "OUT"), "shop-a", "version-unknown", 2),
        (("versions", "7"), "shop-a", "usage", 2),
    ],
)
def test_what_is_refused(fedcart, place, words, party, code, status):
    refused = fedcart(
        *(str(place / "out") if word == "OUT" else word for word in words), "--json", party=party
    )
    assert refused.returncode == status
    assert json.loads(refused.stdout)["error"]["code"] == code
    assert not (place / "out").exists()


def test_a_table_that_is_missing_is_told_with_its_place_and_the_file_that_names_it(fedcart, place):
    (place / "shop-a.csv").unlink()
    refused = fedcart("pin")
    assert refused.returncode == 2
    told = " ".join(refused.stderr.split())
    assert f"train is {place}/shop-a.csv" in told
    assert f"[tables.mine] of {place}/home/parties/shop-a/fedcart.toml" in told


def test_a_remote_that_dvc_does_not_know_is_an_error_of_the_settings(fedcart, place):
    settings = place / "home" / "parties" / "shop-a" / "fedcart.toml"
    settings.write_text(settings.read_text().replace(f"{place}/remote", "nonsense://secret"))
    refused = fedcart("pin", "--json")
    assert refused.returncode == 2
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "remote-invalid"
    assert "secret" not in error["message"]
