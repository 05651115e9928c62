"""A party's list of withdrawn rows: no text, no doubt about it, and no training past it."""

import json

import pytest

from fedmodels.data.withdrawn import keyed_name, keyed_texts
from fedmodels.errors import DataRefused
from infra import private_files
from infra.private_files import write_json
from tasks.party import withdrawn
from tasks.party.data import data_changed, prepare_data
from tasks.party.withdrawn import (
    answered,
    is_damaged,
    lists_so_far,
    looked_for,
    read_withdrawn,
    refuse_withdrawn,
    withdraw,
    withdrawn_file,
)
from tests.tasks.party.test_data import make_session


def test_rows_are_kept_by_hash_once_and_nobody_else_may_look(tmp_path):
    assert not read_withdrawn(tmp_path, "own")
    first, new = withdraw(tmp_path, "own", ["so  bad", "fine", ""])
    assert (len(first), new) == (2, 2)
    written = withdrawn_file(tmp_path, "own").read_bytes()
    again, new = withdraw(tmp_path, "own", ["fine", "so bad"])
    assert (again.name, new) == (first.name, 0)
    assert withdrawn_file(tmp_path, "own").read_bytes() == written
    assert b"fine" not in written, "and hexadecimal digits spell no such word"
    folder = tmp_path / "withdrawn"
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    more, new = withdraw(tmp_path, "own", ["poor"])
    assert (len(more), new) == (1, 1)
    assert read_withdrawn(tmp_path, "own").among(["fine", "poor", "good"]) == {"fine", "poor"}
    assert not read_withdrawn(tmp_path, "other")
    assert [len(each) for each in lists_so_far(tmp_path, "own")] == [0, 2, 3]
    assert looked_for(tmp_path, ["fine"]).has("fine")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text(path.read_text().replace('"withdrawals": [', '"withdrawals": [["00"],')),
        lambda path: (path.parent / "key").unlink(),
        lambda path: (path.parent / "key").write_bytes(bytes(32)),
    ],
)
def test_a_list_that_is_damaged_keeps_the_party_from_training(tmp_path, damage):
    withdraw(tmp_path, "own", ["fine"])
    damage(withdrawn_file(tmp_path, "own"))
    with pytest.raises(DataRefused, match="restore the party's folder") as caught:
        read_withdrawn(tmp_path, "own")
    assert caught.value.code == "withdrawn-damaged"


def test_a_session_prepares_its_rows_anew_without_them(tmp_path):
    session = make_session(tmp_path)
    prepare_data.fn(session)
    before, first = session.prepared.train, session.data_hash
    taken_back = before.texts[0]
    withdraw(session.workspace, "own", [f" {taken_back} "])
    assert data_changed(session)
    with pytest.raises(DataRefused) as caught:
        refuse_withdrawn(session.workspace, "own", session.party, session.left_out)
    assert caught.value.code == "rows-withdrawn"
    counts = prepare_data.fn(session)
    assert session.prepared.train == before.without_texts(frozenset({taken_back}))
    assert session.data_hash != first
    assert "withdrawn" not in counts, "the policy does not let it be told"
    assert not data_changed(session)
    refuse_withdrawn(session.workspace, "own", session.party, session.left_out)


def test_the_contract_is_checked_without_them_too(tmp_path):
    session = make_session(tmp_path)
    before = session.terms
    withdraw(session.workspace, "own", ["text number 3"])
    assert session.terms.withdrawn.has("text number 3")
    assert session.terms.withdrawn != before.withdrawn


@pytest.mark.parametrize("loss", [("own.json",), ("own.json", "key"), ("own.json", "lists")])
def test_a_list_that_is_gone_is_missed(tmp_path, loss):
    withdraw(tmp_path, "own", ["fine"])
    for name in loss:
        (tmp_path / "withdrawn" / name).unlink()
    for look in (
        lambda: read_withdrawn(tmp_path, "own"),
        lambda: list(lists_so_far(tmp_path, "own")),
        lambda: withdraw(tmp_path, "own", ["poor"]),
    ):
        with pytest.raises(DataRefused, match="is damaged or gone") as caught:
            look()
        assert caught.value.code == "withdrawn-damaged"
    assert is_damaged(tmp_path, "own")
    withdraw(tmp_path, "own", ["fine", "poor"], new_list=True)
    assert read_withdrawn(tmp_path, "own").among(["fine", "poor", "good"]) == {"fine", "poor"}


def test_a_list_of_another_recipe_is_neither_missed_nor_lost_with_the_key(tmp_path):
    withdraw(tmp_path, "own", ["fine"])
    withdraw(tmp_path, "other", ["poor"])
    assert not read_withdrawn(tmp_path, "third")
    withdraw(tmp_path, "own", ["good"], new_list=True)
    assert len(read_withdrawn(tmp_path, "own")) == 2, "a list that is whole is not given up"
    key = tmp_path / "withdrawn" / "key"
    saved = key.read_bytes()
    key.unlink()
    with pytest.raises(DataRefused, match="withdrawn rows of third, or its key"):
        withdraw(tmp_path, "third", ["poor"])
    key.write_bytes(saved)
    assert len(read_withdrawn(tmp_path, "other")) == 1


@pytest.mark.parametrize("written", ["lists", "key", "own.json"])
def test_a_call_that_was_killed_while_it_began_the_list_loses_none(tmp_path, monkeypatch, written):
    """It is killed just before it writes that file; the folder is then good for another call."""
    real = private_files.write_private

    def killed(path, data):
        if path.name == written:
            raise KeyboardInterrupt
        real(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(private_files, "write_private", killed)
        patched.setattr(withdrawn, "write_private", killed)
        with pytest.raises(KeyboardInterrupt):
            withdraw(tmp_path, "own", ["fine"])
    assert not read_withdrawn(tmp_path, "own")
    withdraw(tmp_path, "own", ["fine"])
    assert read_withdrawn(tmp_path, "own").has("fine")


def test_the_list_names_the_withdrawals_that_it_answers(tmp_path):
    assert answered(tmp_path, "own") == frozenset()
    first, _ = withdraw(tmp_path, "own", ["fine", "so bad"])
    again, new = withdraw(tmp_path, "own", ["fine"])
    assert (answered(tmp_path, "own"), new) == ({first.name, again.name}, 0)
    withdraw(tmp_path, "own", ["fine"], told=frozenset({"f" * 64}))
    assert answered(tmp_path, "own") == {first.name, again.name, "f" * 64}


def test_a_withdrawal_is_not_made_answered_by_hand(tmp_path):
    withdraw(tmp_path, "own", ["fine"])
    path = withdrawn_file(tmp_path, "own")
    document = json.loads(path.read_text())
    for answers in ([*document["answers"], "f" * 64], None):
        write_json(path, {**document, "answers": answers})
        with pytest.raises(DataRefused, match="is damaged or gone"):
            answered(tmp_path, "own")


def as_before(workspace, *batches):
    """A list as it was written before the names of withdrawals stood in it."""
    withdraw(workspace, "own", [text for batch in batches for text in batch])
    key = (workspace / "withdrawn" / "key").read_bytes()
    hashes = [sorted(keyed_texts(batch, key)) for batch in batches]
    name = keyed_name([",".join(batch) for batch in hashes], key)
    write_json(withdrawn_file(workspace, "own"), {"withdrawals": hashes, "name": name})


def test_a_list_from_before_is_read_and_gets_the_names_with_the_next_withdrawal(tmp_path):
    as_before(tmp_path, ["fine"], ["so bad", "poor"])
    assert read_withdrawn(tmp_path, "own").among(["fine", "poor", "good"]) == {"fine", "poor"}
    assert answered(tmp_path, "own") is None
    again, new = withdraw(tmp_path, "own", ["fine"], told=frozenset({"f" * 64}))
    assert (answered(tmp_path, "own"), new) == ({again.name, "f" * 64}, 0)
    assert [len(each) for each in lists_so_far(tmp_path, "own")] == [0, 1, 3]


def test_a_call_that_was_killed_before_it_noted_its_list_is_repaired_by_the_next(tmp_path):
    withdraw(tmp_path, "own", ["fine"])
    lists = tmp_path / "withdrawn" / "lists"
    noted = lists.read_bytes()
    write_json(lists, {"recipes": []})
    assert read_withdrawn(tmp_path, "own").has("fine")
    withdraw(tmp_path, "own", ["fine"])
    assert lists.read_bytes() == noted
