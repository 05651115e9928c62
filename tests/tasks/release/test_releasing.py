"""Releases in the real store: numbers, reports, approvals, the champion's swap and its chain."""

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from fedmodels.errors import InputError, IntegrityError, RunConflict, StoreRefused
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import Approval
from infra.layout import champion_key, model_key, past_champion_key, release_key
from infra.object_store import ObjectStore
from tasks.release.answering import answer, approve, reject, reject_overdue
from tasks.release.promoting import promote, rollback
from tasks.release.reading import (
    list_releases,
    read_champion,
    read_history,
    read_release,
    release_numbers,
    released_recipes,
)
from tasks.release.requesting import open_release, propose
from tasks.sweeping import find_sweepable
from tests.store_alone import store_alone, store_of
from tests.tasks.release.released_models import (
    opened,
    proposed,
    put_model,
    released,
    reported,
    undocumented,
)

NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("shop-a", "shop-b")) as folder:
        yield folder


@pytest.fixture(scope="module")
def store(home) -> ObjectStore:
    return store_of(home, "coordinator")


@pytest.fixture
def recipe() -> str:
    """A recipe of its own for each test, without releases."""
    return f"recipe-{next(NAMES)}"


def code_of(kind, call, *arguments, **named) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_releases_are_numbered_and_each_becomes_the_champion(store, recipe):
    released(store, recipe, "first", "second")
    champion = read_champion(store, recipe)
    assert (champion.release, champion.run, champion.sequence, champion.by) == (2, "second", 2, "ann")
    assert [view.standing for view in list_releases(store, recipe)] == ["champion before", "champion"]
    assert read_release(store, recipe, 2).request.champion_run == "first"
    assert recipe in released_recipes(store)


def test_whoever_is_started_again_finds_what_it_began(store, recipe):
    begun = opened(store, recipe, "first", ticket="flow-run-1")
    assert opened(store, recipe, "first", ticket="flow-run-1") == begun
    report = reported(store, begun)
    assert propose(store, report.model_copy(update={"approval_deadline": 1.0})) == report, "the first stands"
    champion = promote(store, recipe, 1, "ann", undocumented)
    assert promote(store, recipe, 1, "ben", undocumented) == champion, (
        "promoting the champion changes nothing"
    )


def test_numbers_that_are_wanted_at_once_are_given_once(store, recipe):
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda n: opened(store, recipe, f"run-{n}"), range(6)))
    assert sorted(request.release for request in found) == [1, 2, 3, 4, 5, 6]
    assert len({request.run for request in found}) == 6


def test_two_that_ask_the_same_get_one_release(store, recipe):
    begun = opened(store, recipe, "first", ticket="retraining")
    assert opened(store, recipe, "first", ticket="release check") == begun, "its checks are not made yet"
    reported(store, begun, approval="person")
    assert opened(store, recipe, "first", ticket="a person") == begun, "it waits for a person"
    assert release_numbers(store, recipe) == [1]


def test_of_two_that_ask_the_same_at_once_the_later_adopts_the_others(store, recipe, monkeypatch):
    create = ObjectStore.create

    def overtaken(self, key, data):
        monkeypatch.setattr(ObjectStore, "create", create)
        opened(store, recipe, "first", ticket="release check")
        return create(self, key, data)

    monkeypatch.setattr(ObjectStore, "create", overtaken)
    assert opened(store, recipe, "first", ticket="retraining").ticket == "release check"
    assert release_numbers(store, recipe) == [1]


@pytest.mark.parametrize(
    "end",
    [
        lambda store, recipe: reject(store, recipe, 1, "ann"),
        lambda store, recipe: released(store, recipe, "other"),
        lambda store, recipe: (
            (approve(store, recipe, 1, "ann"), promote(store, recipe, 1, "ann", undocumented))
            and released(store, recipe, "other")
        ),
    ],
    ids=["rejected", "outdated", "champion before"],
)
def test_a_release_that_is_over_is_not_adopted(store, recipe, end):
    proposed(store, recipe, "first", approval="person")
    end(store, recipe)
    again = opened(store, recipe, "first", ticket="anew")
    assert (again.ticket, again.release) == ("anew", release_numbers(store, recipe)[-1])


def test_a_release_that_its_checks_or_the_deadline_refused_is_not_adopted(store, recipe, later):
    proposed(store, recipe, "worse", verdict="failed")
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    later(600)
    assert opened(store, recipe, "worse", ticket="anew").release == 3
    assert opened(store, recipe, "first", ticket="anew").release == 4


def test_the_champions_own_model_is_its_release(store, recipe):
    released(store, recipe, "first")
    assert opened(store, recipe, "first", ticket="other").release == 1
    assert release_numbers(store, recipe) == [1]


def test_a_second_release_of_the_champions_model_changes_nothing_and_refuses_nothing(store, recipe):
    """Two runs may keep the same model, and both may have been proposed before either was released."""
    sha256 = put_model(store, f"{recipe} both")
    for name in ("first", "second"):
        reported(store, open_release(store, recipe, name, run=name, round_number=3, model_sha256=sha256))
    champion = promote(store, recipe, 1, "ann", undocumented)
    assert promote(store, recipe, 2, "ben", undocumented) == champion
    assert len(read_history(store, recipe)) == 1


def test_a_report_belongs_to_its_request(store, recipe):
    request, other = opened(store, recipe, "first"), opened(store, recipe, "second")
    report = reported(store, request)
    wrong = report.model_copy(update={"release": other.release})
    assert code_of(IntegrityError, propose, store, wrong) == "report-misplaced"
    unknown = report.model_copy(update={"release": 9})
    assert code_of(InputError, propose, store, unknown) == "release-unknown"


@pytest.mark.parametrize("call", [functools.partial(promote, document=undocumented), approve, reject])
def test_an_unknown_release_is_refused(store, recipe, call):
    released(store, recipe, "first")
    with pytest.raises(InputError, match=r"no release 7 .*\(the latest are: 1\)") as caught:
        call(store, recipe, 7, "ann")
    assert caught.value.code == "release-unknown"


def test_a_release_without_a_report_is_refused_and_shown(store, recipe):
    opened(store, recipe, "first")
    assert code_of(InputError, promote, store, recipe, 1, "ann", undocumented) == "release-unreported"
    assert read_release(store, recipe, 1).standing == "no report yet"
    assert read_release(store, recipe, 1).document()["report"] is None


def test_a_release_that_failed_its_checks_stays_out(store, recipe):
    proposed(store, recipe, "first", verdict="failed", approval="person")
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "release-refused"
    assert code_of(RunConflict, approve, store, recipe, 1, "ann") == "release-refused"
    assert read_champion(store, recipe) is None


def test_a_person_approves_once_and_then_it_is_promoted(store, recipe):
    proposed(store, recipe, "first", approval="person")
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "approval-missing"
    given = approve(store, recipe, 1, "ann", "looks right")
    assert (given.decision, given.by, given.comment) == ("approve", "ann", "looks right")
    for again in (approve, reject):
        assert code_of(RunConflict, again, store, recipe, 1, "ben") == "approval-twice"
    assert promote(store, recipe, 1, "ann", undocumented).release == 1


def test_of_two_words_at_once_one_stands(store, recipe, monkeypatch):
    proposed(store, recipe, "first", approval="person")
    create = ObjectStore.create

    def overtaken(self, key, data):
        monkeypatch.setattr(ObjectStore, "create", create)
        reject(store, recipe, 1, "ben")
        return create(self, key, data)

    monkeypatch.setattr(ObjectStore, "create", overtaken)
    assert code_of(RunConflict, approve, store, recipe, 1, "ann") == "approval-twice"
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "release-rejected"


def test_the_deadline_rejects_by_default(store, recipe, later):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    proposed(store, recipe, "second", approval="person", deadline=6000.0)
    assert reject_overdue(store, recipe) == ()
    later(600)
    assert code_of(RunConflict, approve, store, recipe, 1, "ann") == "approval-late"
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "approval-late"
    written = reject_overdue(store, recipe)
    assert [(word.release, word.decision, word.by) for word in written] == [(1, "reject", "deadline")]
    assert written[0].comment == "nobody approved within 60 s"
    assert written[0].delay == 0.0
    assert reject_overdue(store, recipe) == ()
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "approval-late"
    assert [view.standing for view in list_releases(store, recipe)] == [
        "deadline passed",
        "awaiting approval",
    ]


def test_a_word_that_wins_the_race_is_no_rejection(store, recipe, later, monkeypatch):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    create = ObjectStore.create

    def overtaken(self, key, data):
        monkeypatch.setattr(ObjectStore, "create", create)
        later(30)
        approve(store, recipe, 1, "ann")
        return create(self, key, data)

    later(600)
    monkeypatch.setattr(ObjectStore, "create", overtaken)
    assert reject_overdue(store, recipe) == ()
    assert read_release(store, recipe, 1).found.approval.by == "ann"


def test_a_release_that_somebody_answered_elsewhere_is_spared(store, recipe, later):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    later(600)
    asked = []
    assert reject_overdue(store, recipe, lambda request: asked.append(request.ticket) or True) == ()
    assert asked == ["first"]


def test_a_word_counts_from_when_it_was_given(store, recipe, later):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    later(600)
    given = answer(store, recipe, 1, approved=True, by="ann", left=12.0)
    assert 540.0 <= given.delay <= 560.0
    found = read_release(store, recipe, 1).found
    assert 0.0 <= found.waited <= 48.0
    assert promote(store, recipe, 1, "ann", undocumented).release == 1


def test_a_word_that_was_given_too_late_stays_late(store, recipe, later):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    later(600)
    late = functools.partial(answer, store, recipe, 1, approved=True, by="ann", left=-30.0)
    assert code_of(RunConflict, late) == "approval-late"


def test_a_slow_store_does_not_make_a_late_approval_early(store, recipe, later, monkeypatch):
    """Its clock goes on between any two requests."""
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    report, approval = (release_key(recipe, 1, name) for name in ("report", "approval"))
    put_at = ObjectStore.put_at
    given = Approval(
        recipe=recipe,
        release=1,
        report_sha256=sha256_hex(store.read(report)),
        decision="approve",
        by="ann",
    )
    store.create(approval, canonical_json(given))
    late = timedelta(seconds=70)
    monkeypatch.setattr(
        ObjectStore, "put_at", lambda own, key: put_at(own, key) + (late if key == approval else timedelta())
    )
    # The second age is asked 20 s after the first: 100 s old, and then 100 - 70 + 20.
    monkeypatch.setattr(ObjectStore, "age", lambda _own, key: 100.0 if key == report else 50.0)
    assert read_release(store, recipe, 1).found.waited >= 69.0
    assert code_of(RunConflict, promote, store, recipe, 1, "ann", undocumented) == "approval-late"


def test_what_was_approved_in_time_may_be_promoted_later(store, recipe, later):
    proposed(store, recipe, "first", approval="person", deadline=60.0)
    approve(store, recipe, 1, "ann")
    later(6000)
    assert promote(store, recipe, 1, "ann", undocumented).release == 1


@pytest.mark.parametrize(
    ("by", "comment"), [("", ""), ("x" * 101, ""), ("deadline", ""), ("ann", "x" * 2001)]
)
def test_words_that_do_not_fit_are_refused(store, recipe, by, comment):
    proposed(store, recipe, "first", approval="person")
    assert code_of(InputError, approve, store, recipe, 1, by, comment) == "words-invalid"


@pytest.fixture
def overtaken_by(store, recipe, monkeypatch):
    """Let a release become the champion right before the next swap."""
    swap = ObjectStore.swap

    def before_the_swap(release: int) -> None:
        def overtaken(self, key, data, version):
            monkeypatch.setattr(ObjectStore, "swap", swap)
            promote(store, recipe, release, "ben", undocumented)
            return swap(self, key, data, version)

        monkeypatch.setattr(ObjectStore, "swap", overtaken)

    return before_the_swap


def test_of_two_promotions_at_once_the_one_that_lost_says_so(store, recipe, overtaken_by):
    released(store, recipe, "first")
    second, third = proposed(store, recipe, "second"), proposed(store, recipe, "third")
    overtaken_by(third)
    with pytest.raises(RunConflict, match=f"release {third} did at the same moment") as caught:
        promote(store, recipe, second, "ann", undocumented)
    assert caught.value.code == "promotion-lost"
    assert read_champion(store, recipe).release == third
    assert [pointer.release for pointer in read_history(store, recipe)] == [1, third]
    assert code_of(RunConflict, promote, store, recipe, second, "ann", undocumented) == "release-outdated"


def test_a_rollback_that_lost_its_race_is_not_told_to_propose(store, recipe, overtaken_by):
    released(store, recipe, "first", "second")
    third = proposed(store, recipe, "third")
    overtaken_by(third)
    with pytest.raises(RunConflict, match=f"release {third} did at the same moment") as caught:
        rollback(store, recipe, "ann")
    assert caught.value.code == "promotion-lost"
    assert "roll back from that one" in str(caught.value)
    assert "propose" not in str(caught.value)


def test_the_first_champion_too_is_made_once(store, recipe):
    numbers = [proposed(store, recipe, f"run-{n}") for n in range(4)]

    def try_promoting(number):
        try:
            return promote(store, recipe, number, "ann", undocumented).release
        except RunConflict as error:
            return error.code

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(try_promoting, numbers))
    winners = [answer for answer in found if isinstance(answer, int)]
    assert winners == [read_champion(store, recipe).release]
    assert {answer for answer in found if isinstance(answer, str)} <= {"promotion-lost", "release-outdated"}


def test_a_rollback_is_one_step_and_the_chain_keeps_all(store, recipe):
    released(store, recipe, "first", "second", "third")
    back = rollback(store, recipe, "ann", reason="customers complain")
    assert (back.release, back.run, back.action, back.reason) == (
        2,
        "second",
        "rollback",
        "customers complain",
    )
    assert rollback(store, recipe, "ann").release == 1
    assert code_of(RunConflict, rollback, store, recipe, "ann") == "rollback-nothing"
    assert rollback(store, recipe, "ann", to=3).release == 3
    assert [p.release for p in read_history(store, recipe)] == [1, 2, 3, 2, 1, 3]
    assert code_of(RunConflict, promote, store, recipe, 2, "ann", undocumented) == "release-left"


def test_without_a_champion_there_is_nothing_to_leave(store, recipe):
    assert code_of(RunConflict, rollback, store, recipe, "ann") == "rollback-nothing"
    assert list_releases(store, recipe) == []


def test_a_champion_that_was_changed_is_noticed(store, recipe):
    released(store, recipe, "first", "second")
    first = read_history(store, recipe)[0]
    key = past_champion_key(recipe, sha256_hex(canonical_json(first)))
    store.put_blob(key, canonical_json(first.model_copy(update={"run": "other"})))
    assert code_of(IntegrityError, rollback, store, recipe, "ann") == "champions-broken"
    store.delete(key)
    assert code_of(IntegrityError, list_releases, store, recipe) == "champions-broken"


def test_a_model_that_is_gone_is_not_made_the_champion(store, recipe):
    request = opened(store, recipe, "first")
    reported(store, request)
    store.delete(model_key(request.model_sha256))
    assert code_of(IntegrityError, promote, store, recipe, 1, "ann", undocumented) == "model-missing"
    assert store.read(champion_key(recipe)) is None


def test_a_party_may_read_a_release_and_not_write_one(store, recipe, home):
    released(store, recipe, "first")
    party = store_of(home, "shop-a")
    assert read_champion(party, recipe).release == 1
    with pytest.raises(StoreRefused):
        party.create(release_key(recipe, 9, "request"), b"{}")


def test_a_sweep_leaves_released_models_alone(store, recipe, later):
    kept = opened(store, recipe, "first").model_sha256
    orphan = put_model(store, f"{recipe} orphan")
    later(7200)
    going = {item.key for item in find_sweepable(store, "coordinator", 3600.0)}
    assert model_key(orphan) in going
    assert model_key(kept) not in going
