"""Which updates learned from withdrawn rows, and the one notice that says so."""

import functools
import itertools
import json
import shutil
from dataclasses import replace

import pytest

from fedmodels.data.rows import LabelledTexts
from fedmodels.data.withdrawn import keyed_name
from fedmodels.errors import DataRefused, FedcartError, PolicyForbids, TransientError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.messages import Announcement, Signed, StartingModel
from fedmodels.protocol.withdrawal import WithdrawalNotice
from infra.keys import public_key, verify
from infra.layout import (
    closed_key,
    plan_key,
    receipt_key,
    release_key,
    round_key,
    withdrawal_key,
    withdrawal_reminders_prefix,
)
from infra.private_files import write_json
from infra.settings import load_role_settings
from infra.versioning.remote import Remote
from tasks.exchange import create_message, create_signed
from tasks.party import forgetting, submission, told_withdrawals, withdrawn
from tasks.party.forgetting import find_concerned, forget
from tasks.party.forgetting_desk import ForgettingDesk, other_recipes
from tasks.party.joining import join_run
from tasks.party.kept_rows import drift_folder
from tasks.party.session import PartySession
from tasks.party.submission import submit_update
from tasks.party.told_withdrawals import told_so_far
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.pinning import pin_tables
from tasks.party.withdrawn import looked_for, read_withdrawn, withdrawn_file
from tasks.reading import read_plan
from tasks.release.hearing import hear_withdrawals
from tests.store_alone import store_alone, store_of
from tests.tasks.drift.champion import PARTIES, REVIEWS, Champion, sentences

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module", autouse=True)
def clients():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.tasks.drift.champion.store_of", functools.cache(store_of))
        yield


@pytest.fixture
def shop(home, tmp_path):
    """A released model to which shop-a gave 80 rows; a test makes the desk of shop-a."""
    made = Champion(home, f"rights-{next(NUMBERS)}", tmp_path)
    made.rows = sentences(REVIEWS, 80, seed=1)
    made.write("shop-a", "train", made.rows)
    return made


def desk_of(made, *, tells_rows=False) -> ForgettingDesk:
    own = load_role_settings(made.home, "shop-a")
    (made.folder / "remote").mkdir(exist_ok=True)
    return ForgettingDesk(
        party="shop-a",
        recipe=made.recipe.name,
        store=store_of(made.home, "shop-a"),
        signing_key=made.keys["shop-a"],
        workspace=own.workspace,
        tables=own.tables[made.recipe.name],
        versions=VersionDesk("shop-a", made.folder / "own", Remote(str(made.folder / "remote"), {})),
        tells_rows=tells_rows,
    )


def trained_and_held(made):
    """A text that was trained on, and one that was held out."""
    from fedmodels.data.splits import is_held_out

    held = [is_held_out(text, made.recipe.data, made.recipe.seed) for text in made.rows.texts]
    return made.rows.texts[held.index(False)], made.rows.texts[held.index(True)]


def test_rows_that_were_learned_from_make_one_notice_without_a_word_of_them(shop):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    done = forget(desk, [f"<b>{trained}</b>"])
    assert (done.concerned.trained, done.concerned.unknown, done.made) == (((shop.run, 1),), (), True)
    stored = desk.store.read(withdrawal_key("shop-a", desk.recipe, 1))
    signed = Signed.model_validate_json(stored)
    assert verify(public_key(shop.keys["shop-a"]), signed.payload.encode(), signed.signature)
    assert WithdrawalNotice.model_validate_json(signed.payload) == done.notice
    assert "rows" not in json.loads(signed.payload), "the policy does not say that they may be counted"
    assert trained.split()[0] not in signed.payload
    again = forget(desk, [trained, trained])
    assert (again.notice, again.made, again.new_rows) == (done.notice, False, 0)
    assert read_withdrawn(desk.workspace, desk.recipe).has(trained)


def test_a_preview_changes_nothing_and_spares_the_second_look(shop):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    seen = []
    concerned = find_concerned(desk, [trained], lambda done, total: seen.append((done, total)))
    assert concerned.trained == ((shop.run, 1),)
    assert seen == [(0, 1), (1, 1)]
    assert not read_withdrawn(desk.workspace, desk.recipe)
    assert desk.store.read(withdrawal_key("shop-a", desk.recipe, 1)) is None
    shutil.rmtree(drift_folder(desk.workspace, desk.recipe))
    shop.path("shop-a", "train").unlink()
    assert forget(desk, [trained], known=concerned).concerned.trained == ((shop.run, 1),)


def test_rows_that_stand_nowhere_are_counted_apart(shop):
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    found = find_concerned(desk, [trained, held, f"{trained} not quite", "nobody's"])
    assert (found.rows, found.rows_found, found.trained) == (4, 2, ((shop.run, 1),))
    assert (found.document()["rows"], found.document()["rows_found"]) == (4, 2)
    done = forget(desk, [trained, held, f"{trained} not quite", "nobody's"], known=found)
    assert (done.new_rows, done.concerned.rows_found) == (4, 2)
    assert find_concerned(desk, None).document()["rows_found"] is None


def test_rows_that_were_only_held_out_are_told_and_not_marked(shop):
    shop.release()
    desk, (_, held) = desk_of(shop), trained_and_held(shop)
    done = forget(desk, [held])
    assert (done.concerned.trained, done.concerned.scored, done.notice) == ((), ((shop.run, 1),), None)
    assert read_withdrawn(desk.workspace, desk.recipe).has(held), "and are left out from now on"


def test_rows_that_nothing_has_seen_are_left_out_all_the_same(shop):
    shop.release()
    desk = desk_of(shop)
    done = forget(desk, ["a stranger"])
    assert (done.concerned.places, done.concerned.scored, done.notice) == (frozenset(), (), None)
    assert done.new_rows == 1


@pytest.mark.parametrize("kept", [True, False])
def test_the_table_of_then_tells_where_no_rows_were_kept(shop, kept):
    shop.release(keep=False)
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    if not kept:
        shop.write("shop-a", "train", shop.rows.take(range(1, 80)))
    found = find_concerned(desk, [trained])
    assert (found.trained if kept else found.unknown) == ((shop.run, 1),)
    assert found.places == {(shop.run, 1)}, "what nobody knows counts"
    assert find_concerned(desk, ["a stranger"]).places == (frozenset() if kept else {(shop.run, 1)})


def test_a_pinned_version_tells_when_the_table_has_changed(shop):
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    plan_run = f"{shop.recipe.name}-run-1"
    pin_tables(desk.versions, shop.recipe, desk.tables, plan_run)
    shop.release(keep=False)
    shop.write("shop-a", "train", sentences(REVIEWS, 60, seed=9, start=1000))
    assert find_concerned(desk, [trained]).trained == ((shop.run, 1),)
    assert find_concerned(desk, [held]).scored == ((shop.run, 1),)
    assert find_concerned(desk, ["a stranger"]).places == frozenset()
    shutil.rmtree(desk.versions.root / ".dvc" / "cache")
    assert find_concerned(desk, [trained]).trained == ((shop.run, 1),), "the remote has it"
    shutil.rmtree(desk.versions.root / ".dvc" / "cache")
    shutil.rmtree(shop.folder / "remote")
    (shop.folder / "remote").mkdir()
    assert find_concerned(desk, ["a stranger"]).unknown == ((shop.run, 1),)
    assert list(desk.workspace.glob("forget-*")) == []


def test_a_version_that_may_be_of_another_round_clears_no_update(shop):
    """The run's note names it, for it was pinned before the table gained rows that were then trained on."""
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    pin_tables(desk.versions, shop.recipe, desk.tables, f"{shop.recipe.name}-run-1")
    gained = sentences(REVIEWS, 40, seed=5, start=500)
    shop.write(
        "shop-a", "train", LabelledTexts(shop.rows.texts + gained.texts, shop.rows.labels + gained.labels)
    )
    shop.release(keep=False)
    shop.write("shop-a", "train", sentences(REVIEWS, 60, seed=9, start=1000))
    assert find_concerned(desk, [gained.texts[0]]).unknown == ((shop.run, 1),)
    assert find_concerned(desk, [trained]).trained == ((shop.run, 1),), "that it was there tells enough"


def test_a_training_without_the_rows_is_not_concerned_by_them(shop):
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    shop.release(keep=False)
    forget(desk, [trained])
    shop.write("shop-a", "train", shop.rows.without_texts(frozenset({trained})))
    shop.release(keep=False)
    shop.write("shop-a", "train", shop.rows)
    found = find_concerned(desk, [trained])
    assert found.trained == ((f"{shop.recipe.name}-run-1", 1),), "the second one left it out"
    assert found.unknown == ()


def test_a_training_that_was_under_way_is_told_by_a_further_notice(shop):
    desk, (trained, _) = desk_of(shop, tells_rows=True), trained_and_held(shop)
    assert forget(desk, [trained]).notice is None
    shop.release()
    first = forget(desk, [trained])
    assert (first.notice.number, first.notice.rows) == (1, 1)
    shop.release()
    second = forget(desk, [trained])
    assert (second.notice.number, second.made) == (2, True)
    assert second.notice.places == {(f"{shop.recipe.name}-run-{n}", 1) for n in (1, 2)}
    assert not forget(desk, [trained]).made


@pytest.mark.parametrize("left", [b"{}", None])
def test_a_champion_outlives_the_plan_of_its_run(shop, left):
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    lose_plan(shop, shop.run, left)
    assert find_concerned(desk, [trained]).trained == ((shop.run, 1),), "the kept rows tell"
    assert find_concerned(desk, [held]).scored == ((shop.run, 1),)
    shutil.rmtree(drift_folder(desk.workspace, desk.recipe))
    done = forget(desk, ["a stranger"])
    assert (done.concerned.unknown, done.made) == (((shop.run, 1),), True), "else nobody knows"


def test_a_run_that_no_release_names_is_passed_over_without_its_plan(shop):
    """And counts where the lineage record of a release says that this began from its model."""
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    first = shop.run
    shop.release()
    place = release_key(desk.recipe, 1, "request")
    shop.store.delete(place)
    lose_plan(shop, first, None)
    assert find_concerned(desk, [trained]).trained == ((shop.run, 1),)
    record = lineage_beginning_from(shop, first)
    create_signed(shop.store, release_key(desk.recipe, 2, "lineage"), record, shop.keys["shop-b"])
    assert find_concerned(desk, [trained]).trained == ((first, 1), (shop.run, 1))


def test_a_run_of_another_recipe_stays_that_of_the_other(shop, home, tmp_path):
    shop.release()
    other = Champion(home, f"rights-{next(NUMBERS)}", tmp_path / "other")
    other.write("shop-a", "train", shop.rows)
    other.release()
    desk = desk_of(shop)
    assert find_concerned(desk, None).places == {(shop.run, 1)}
    assert other.recipe.name in other_recipes(desk)


def lose_plan(made, run, left):
    made.store.delete(plan_key(run))
    if left is not None:
        made.store.put_blob(plan_key(run), left)


def lineage_beginning_from(made, run) -> Lineage:
    """The record of release 2, whose run began from the model of that one."""
    plan = read_plan(made.store, made.run)
    return Lineage(
        recipe=made.recipe.name,
        release=2,
        run=made.run,
        round=1,
        model_sha256="0" * 64,
        plan_sha256=sha256_hex(canonical_json(plan)),
        training=plan.recipe,
        training_sha256=sha256_hex(canonical_json(plan.recipe)),
        labels=plan.labels,
        base_model="toy",
        base_model_sha256=plan.base_model_sha256,
        begins_from=StartingModel(run=run, round=1, model_sha256=plan.base_model_sha256),
        architecture_sha256=plan.architecture_sha256,
        parties=PARTIES,
        sets={},
        data=(),
        rounds=(),
        report_sha256="0" * 64,
        checks=(),
        approval=None,
    )


def test_a_number_that_was_heard_is_never_given_again(shop):
    """The coordinator passes over what has the number of a copy: a notice there would not be heard."""
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    other = next(text for text in shop.rows.texts if text != trained and find_concerned(desk, [text]).trained)
    first = forget(desk, [trained]).notice
    keys = {"shop-a": public_key(shop.keys["shop-a"])}
    hear = functools.partial(hear_withdrawals, shop.store, shop.keys["shop-b"], keys)
    assert first in hear().notices
    own = withdrawal_key("shop-a", desk.recipe, 1)
    desk.store.delete(own)
    again = forget(desk, [trained])
    assert (again.notice, again.made) == (first, False), "the coordinator knows"
    second = forget(desk, [other])
    assert (second.notice.number, second.made) == (2, True)
    assert second.notice in hear().notices
    assert not desk.store.exists(own)
    desk.store.put_blob(withdrawal_key("shop-a", desk.recipe, 3), b"no notice")
    assert forget(desk, [other, trained]).notice.number == 4


def test_a_party_that_leaves_names_every_update(shop):
    shop.release()
    desk = desk_of(shop)
    done = forget(desk, None)
    assert (done.notice.leaves, done.notice.places, done.notice.rows) == (True, {(shop.run, 1)}, None)
    assert not forget(desk, None).made


def test_a_call_that_was_killed_before_its_notice_is_made_again(shop, monkeypatch):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)

    def killed(*_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "create_signed", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(desk, [trained])
    assert read_withdrawn(desk.workspace, desk.recipe).has(trained), "nothing more is learned from it"
    done = forget(desk, [trained])
    assert (done.notice.number, done.made, done.new_rows) == (1, True, 0)


def submitting(made):
    """What submits an update of round 2 that was trained without the rows that are on the list now."""
    session = PartySession(made.run, load_role_settings(made.home, "shop-a"))
    session.plan = read_plan(made.store, made.run)
    session.left_out = session.withdrawn.name
    update = session.round_folder(2) / "update.safetensors"
    update.parent.mkdir(parents=True, exist_ok=True)
    update.write_bytes(b"update")
    announcement = Announcement(
        run=made.run,
        round=2,
        passed_rounds=1,
        model_sha256=session.plan.base_model_sha256,
        cohort=PARTIES,
        round_timeout=60.0,
    )
    protected = {"sha256": sha256_hex(b"update"), "norm": 1.0}
    return lambda: submit_update.fn(session, announcement, {"num_examples": 10.0}, protected, "")


def test_an_update_that_was_trained_meanwhile_is_kept_back(shop):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    submit = submitting(shop)
    forget(desk, [trained])
    with pytest.raises(DataRefused) as caught:
        submit()
    assert caught.value.code == "rows-withdrawn"
    assert not desk.store.exists(receipt_key("shop-a", shop.run, 2))


def test_an_update_is_committed_before_its_rows_are_withdrawn_or_not_at_all(shop, monkeypatch):
    """Between its session's look at the list and the receipt nobody puts rows there: the notice names it."""
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    monkeypatch.setattr(withdrawn, "LOCK_TIMEOUT_S", 0.0)
    commit = submission._commit

    def meanwhile(session, receipt):
        for texts in ([trained], None):
            with pytest.raises(TransientError) as caught:
                forget(desk, texts)
            assert caught.value.code == "withdrawal-busy"
        commit(session, receipt)

    monkeypatch.setattr(submission, "_commit", meanwhile)
    submitting(shop)()
    assert forget(desk, [trained]).notice.places == {(shop.run, 1), (shop.run, 2)}


def test_nothing_is_sent_while_rows_are_put_on_the_list(shop, monkeypatch):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    monkeypatch.setattr(withdrawn, "LOCK_TIMEOUT_S", 0.0)
    submit, put = submitting(shop), forgetting.withdraw

    def meanwhile(*words, **more):
        with pytest.raises(TransientError):
            submit()
        return put(*words, **more)

    monkeypatch.setattr(forgetting, "withdraw", meanwhile)
    assert forget(desk, [trained]).notice.places == {(shop.run, 1)}
    with pytest.raises(DataRefused) as caught:
        submit()
    assert caught.value.code == "rows-withdrawn"


def test_an_open_round_without_an_update_of_the_party_is_named(shop):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    assert forget(desk, [trained]).unanswered == ()
    announce(shop, 1, PARTIES[1:])
    assert forget(desk, [trained]).unanswered == (), "nobody waits for this party"
    shop.store.delete(round_key(shop.run, 1, "announcement"))
    announce(shop, 1, PARTIES)
    assert forget(desk, [trained]).unanswered == (), "its update is there"
    desk.store.delete(receipt_key("shop-a", shop.run, 1))
    assert forget(desk, [trained]).unanswered == (shop.run,)
    shop.store.put_blob(closed_key(shop.run), b"{}")
    assert forget(desk, [trained]).unanswered == ()


def announce(made, number, cohort):
    plan = read_plan(made.store, made.run)
    announcement = Announcement(
        run=made.run,
        round=number,
        passed_rounds=number - 1,
        model_sha256=plan.base_model_sha256,
        cohort=cohort,
        round_timeout=60.0,
    )
    create_message(made.store, round_key(made.run, number, "announcement"), announcement)
    return announcement


def test_a_list_that_is_gone_with_its_folder_is_missed_by_its_notice(shop):
    """Else the party trained on the rows again, and a new list went without them."""
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    assert forget(desk, [trained]).made
    shutil.rmtree(desk.workspace / "withdrawn")
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    looks = {
        "join": lambda: join_run.fn(session, "session-1"),
        "submit": submitting(shop),
        "preview": lambda: find_concerned(desk, [held]),
        "forget": lambda: forget(desk, [held]),
    }
    for look in looks.values():
        with pytest.raises(DataRefused, match="--new-list") as caught:
            look()
        assert caught.value.code == "withdrawn-damaged"
    assert not desk.store.exists(receipt_key("shop-a", shop.run, 2))
    anew = replace(desk, new_list=True)
    assert find_concerned(anew, [trained, held]).places == {(shop.run, 1)}
    done = forget(anew, [trained, held])
    assert (done.new_rows, done.notice.number) == (2, 2)
    assert join_run.fn(session, "session-1") == shop.recipe.name


def refused_looks(made, desk, texts):
    """Codes with which a join, a submission, a preview and a withdrawal are refused."""
    session = PartySession(made.run, load_role_settings(made.home, "shop-a"))
    looks = (
        lambda: join_run.fn(session, "session-1"),
        submitting(made),
        lambda: find_concerned(desk, texts),
        lambda: forget(desk, texts),
    )
    codes = []
    for look in looks:
        with pytest.raises(FedcartError) as caught:
            look()
        codes.append(caught.value.code)
    assert not desk.store.exists(receipt_key("shop-a", made.run, 2))
    return codes


def test_a_list_of_an_older_backup_is_missed(shop):
    """It is whole under its own name, and lacks the last withdrawal."""
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    forget(desk, [held])
    folder, backup = desk.workspace / "withdrawn", shop.folder / "backup"
    shutil.copytree(folder, backup)
    assert forget(desk, [trained]).made
    shutil.copytree(folder, shop.folder / "newer")
    put_back(folder, backup)
    assert refused_looks(shop, desk, [trained]) == ["withdrawn-damaged"] * 4
    put_back(folder, shop.folder / "newer")
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    assert join_run.fn(session, "session-1") == shop.recipe.name
    put_back(folder, backup)
    assert forget(replace(desk, new_list=True), [trained, held]).new_rows == 1, "what it holds stays"
    assert join_run.fn(session, "session-2") == shop.recipe.name


def put_back(folder, backup):
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def test_a_list_that_no_notice_tells_of_is_missed_all_the_same(shop):
    """Nothing had learned from the rows; they are still in the table, or come with the next one."""
    shop.release()
    desk = desk_of(shop)
    assert forget(desk, ["a stranger"]).notice is None
    (key,) = desk.store.list_keys(withdrawal_reminders_prefix("shop-a", desk.recipe))
    assert key.endswith(looked_for(desk.workspace, ["a stranger"]).name)
    shutil.rmtree(desk.workspace / "withdrawn")
    assert refused_looks(shop, desk, ["a stranger"]) == ["withdrawn-damaged"] * 4
    assert forget(replace(desk, new_list=True), ["a stranger"]).new_rows == 1
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    assert join_run.fn(session, "session-1") == shop.recipe.name
    assert len(session.withdrawn) == 1


@pytest.mark.parametrize("follows", ["the same call", "a session"])
def test_a_reminder_that_a_killed_call_did_not_leave_is_left_by_who_follows(shop, monkeypatch, follows):
    shop.release()
    desk = desk_of(shop)

    def killed(*_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "remind_of_list", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(desk, ["a stranger"])
    assert read_withdrawn(desk.workspace, desk.recipe).has("a stranger")
    if follows == "a session":
        session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
        assert join_run.fn(session, "session-1") == shop.recipe.name
    else:
        assert forget(desk, ["a stranger"]).new_rows == 0
    assert len([*desk.store.list_keys(withdrawal_reminders_prefix("shop-a", desk.recipe))]) == 1


def test_a_list_and_a_notice_from_before_reminders_go_on(shop):
    """And are held against each other from the next withdrawal on."""
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    assert forget(desk, [held, trained]).made
    for key in [*desk.store.list_keys(withdrawal_reminders_prefix("shop-a", desk.recipe))]:
        desk.store.delete(key)
    path = withdrawn_file(desk.workspace, desk.recipe)
    key, batches = (path.parent / "key").read_bytes(), json.loads(path.read_text())["withdrawals"]
    name = keyed_name([",".join(batch) for batch in batches], key)
    write_json(path, {"withdrawals": batches, "name": name})
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    assert join_run.fn(session, "session-1") == shop.recipe.name
    before = path.read_bytes()
    assert forget(desk, ["a stranger"]).new_rows == 1
    assert join_run.fn(session, "session-2") == shop.recipe.name
    path.write_bytes(before)
    assert refused_looks(shop, desk, [trained]) == ["withdrawn-damaged"] * 4
    assert forget(replace(desk, new_list=True), [held, trained, "a stranger"]).new_rows == 1
    assert join_run.fn(session, "session-3") == shop.recipe.name


def test_a_party_that_left_and_lost_its_folder_stays_out_until_a_person_lets_it_in(shop):
    shop.release()
    desk = desk_of(shop)
    assert forget(desk, None).made
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    shutil.rmtree(desk.workspace / "withdrawn")
    for look in (submitting(shop), lambda: join_run.fn(session, "session-1")):
        with pytest.raises(PolicyForbids, match=r"remove withdrawn/.*\.left") as caught:
            look()
        assert caught.value.code == "party-left"
    (desk.workspace / "withdrawn" / f"{desk.recipe}.left").unlink()
    assert join_run.fn(session, "session-2") == shop.recipe.name, "as the refusal says"


@pytest.mark.parametrize("noted", [True, False])
def test_a_party_that_left_comes_back_as_it_always_could(shop, noted):
    """Also one that left before leavings were noted."""
    shop.release()
    desk = desk_of(shop)
    forget(desk, None)
    if not noted:
        (desk.workspace / "withdrawn" / f"{desk.recipe}.told").unlink()
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    with pytest.raises(PolicyForbids):
        join_run.fn(session, "session-1")
    (desk.workspace / "withdrawn" / f"{desk.recipe}.left").unlink()
    assert join_run.fn(session, "session-2") == shop.recipe.name


@pytest.mark.parametrize("dies_in", ["create_signed", "own_notices"])  # before the notice is put, and after
def test_a_killed_leaving_needs_one_word_to_come_back(shop, monkeypatch, dies_in):
    shop.release()
    desk = desk_of(shop)

    def killed(*_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, dies_in, killed)
        with pytest.raises(KeyboardInterrupt):
            forget(desk, None)
    (desk.workspace / "withdrawn" / f"{desk.recipe}.left").unlink()
    session = PartySession(shop.run, load_role_settings(shop.home, "shop-a"))
    assert join_run.fn(session, "session-1") == shop.recipe.name
    assert forget(desk, None).made is (dies_in == "create_signed")


@pytest.mark.parametrize("how", ["gone", "objects", "key", "noted"])
def test_versions_whose_history_is_gone_or_damaged_hold_up_no_right(shop, how):
    """Nobody can tell what was trained on then, so that all of it counts, and whoever asks is told why."""
    shop.release(keep=False)
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    pin_tables(desk.versions, shop.recipe, desk.tables, shop.run)
    shop.path("shop-a", "train").unlink()
    assert find_concerned(desk, [trained]).unread == ""
    if how == "gone":
        shutil.rmtree(desk.versions.root / ".git")
    elif how == "objects":
        for path in (desk.versions.root / ".git" / "objects").glob("??/*"):
            path.chmod(0o600)
            path.write_bytes(b"x")
    elif how == "key":
        (desk.versions.state / "key").unlink()
    else:
        write_json(desk.versions.state / "noted.json", {"commit": "1" * 40})
    found = find_concerned(desk, [trained])
    assert found.unknown == ((shop.run, 1),)
    assert "data versions" in found.unread
    with desk.versions.locked():  # what was found by the first look is not looked for again
        assert find_concerned(desk, [trained], known=found).unread == found.unread
    assert forget(desk, [trained]).new_rows == 1


def test_a_leaving_after_one_that_was_killed_is_missed_whatever_backup_comes_back(
    shop, monkeypatch, tmp_path
):
    shop.release()
    desk = desk_of(shop)
    folder = desk.workspace / "withdrawn"

    def killed(*_words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "create_signed", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(desk, None)
    (folder / f"{desk.recipe}.left").unlink()  # a person let it come back
    shutil.copytree(folder, tmp_path / "backup")
    assert forget(desk, None).made
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    with pytest.raises(FedcartError) as caught:
        join_run.fn(PartySession(shop.run, load_role_settings(shop.home, "shop-a")), "session-1")
    assert caught.value.code == "party-left"


def test_a_notice_is_read_once_by_a_session(shop, monkeypatch):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    assert forget(desk, [trained]).made
    read, known = [], {}
    real = told_withdrawals.read_from_party
    monkeypatch.setattr(
        told_withdrawals, "read_from_party", lambda *words: read.append(words[1]) or real(*words)
    )
    for _ in range(3):
        told = told_so_far(desk.store, "shop-a", desk.recipe, known)
        assert told.noticed == told.reminded == {looked_for(desk.workspace, [trained]).name}
    assert read == [withdrawal_key("shop-a", desk.recipe, 1)]


def test_a_damaged_list_is_given_up_for_a_new_one_on_demand(shop):
    shop.release()
    desk, (trained, held) = desk_of(shop), trained_and_held(shop)
    forget(desk, [trained])
    withdrawn_file(desk.workspace, desk.recipe).write_text("{")
    shutil.rmtree(drift_folder(desk.workspace, desk.recipe))
    with pytest.raises(DataRefused) as caught:
        find_concerned(desk, [trained])
    assert caught.value.code == "withdrawn-damaged"
    anew = replace(desk, new_list=True)
    assert find_concerned(anew, [trained]).trained == ((shop.run, 1),)
    forget(anew, [trained, held])
    assert read_withdrawn(desk.workspace, desk.recipe).among([trained, held]) == {trained, held}


def test_a_party_whose_notice_says_that_it_left_needs_no_list(shop):
    shop.release()
    desk, (trained, _) = desk_of(shop), trained_and_held(shop)
    forget(desk, None)
    assert forget(desk, [trained]).new_rows == 1
