"""Sweeping the real store after a finished run, as if the store's clock were eight days on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fedmodels.errors import InputError, IntegrityError, StoreRefused
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.sweeping import References, Sweep, SweptObject, blob_name
from infra import store_answers
from infra.layout import closed_key, model_key, run_prefix, sweep_key, sweeps_prefix, update_key
from infra.leftovers import list_uploads
from infra.object_store import ObjectStore
from tasks import sweeping
from tasks.gathering import REFERENCES_KEY
from tasks.sweeping import find_sweepable, sweep
from tasks.verifying.run import verify_run
from tests.store_alone import store_alone
from tests.tasks.verifying.finished_run import PARTIES, finished_run
from validation.admission import RECEIPT_LIMIT

DAY = 86_400.0
RUN = "swept-1"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture
def finished(home, request):
    """A finished run of its own for each test, the only one in the bucket."""
    made = finished_run(home, RUN, seed=sum(map(ord, request.node.name)))
    yield made
    for store, role in [(made.store, "coordinator"), *((made.stores[p], p) for p in PARTIES)]:
        prefix = "coordinator/" if role == "coordinator" else f"parties/{role}/"
        for key in list(store.list_keys(prefix)):
            store.delete(key)


@pytest.fixture
def later(monkeypatch):
    """Eight days pass for everything that is in the store."""
    clock = store_answers.clock
    monkeypatch.setattr(store_answers, "clock", lambda answer: clock(answer) + timedelta(days=8))


def orphan(store, role: str, name: str = "orphan") -> str:
    data = f"{name} of {role}".encode()
    key = (model_key if role == "coordinator" else lambda h: update_key(role, h))(sha256_hex(data))
    store.put_blob(key, data)
    return key


def noted(finished, party: str) -> set[str]:
    """What the party's notes say that it swept."""
    store = finished.stores[party]
    notes = [Sweep.model_validate_json(store.read(key)) for key in store.list_keys(sweeps_prefix(party))]
    return {item.key for note in notes for item in note.objects}


def updates(finished, party: str) -> set[str]:
    found = finished.stores[party].list_keys(f"parties/{party}/blobs/")
    return set(found)


def test_nothing_goes_while_it_is_young(finished):
    orphan(finished.store, "coordinator")
    assert find_sweepable(finished.store, "coordinator", DAY) == []
    assert find_sweepable(finished.stores["shop-a"], "shop-a", 3600.0) == []


def test_of_the_coordinators_only_what_nothing_refers_to_goes(finished, later, tmp_path):
    key = orphan(finished.store, "coordinator")
    before = set(finished.store.list_keys("coordinator/blobs/"))
    gone = sweep(finished.store, "coordinator", 7 * DAY)
    assert [(item.key, item.why, item.size) for item in gone] == [
        (key, "nothing refers to it", len("orphan of coordinator"))
    ]
    assert set(finished.store.list_keys("coordinator/blobs/")) == before - {key}
    assert verify_run(finished.store, RUN, tmp_path).passed
    assert sweep(finished.store, "coordinator", 7 * DAY) == []


def test_updates_of_a_run_that_is_long_over_go_and_are_swept_not_deleted(finished, later, tmp_path):
    store, mine = finished.stores["shop-a"], updates(finished, "shop-a")
    others = updates(finished, "shop-b")
    gone = sweep(store, "shop-a", 7 * DAY)
    assert {item.key for item in gone} == mine
    assert {item.why for item in gone} == {"no run needs it"}
    assert updates(finished, "shop-a") == set()
    assert updates(finished, "shop-b") == others
    assert len(list(store.list_keys(run_prefix("shop-a", RUN)))) == 9, "messages stay"
    report = verify_run(finished.store, RUN, tmp_path)
    told = {item.object: item.verdict for item in report.findings if item.verdict != "ok"}
    assert told == dict.fromkeys([*mine, *(f"average of round {n}" for n in (1, 2, 3, 5))], "swept")
    assert report.passed


def test_a_run_that_is_open_keeps_its_updates(finished, later):
    finished.store.delete(closed_key(RUN))
    key = orphan(finished.stores["shop-a"], "shop-a")
    assert [item.key for item in find_sweepable(finished.stores["shop-a"], "shop-a", 7 * DAY)] == [key]


def test_a_run_that_was_closed_within_the_bound_keeps_its_updates(finished, later, monkeypatch):
    store, listed = finished.stores["shop-a"], sweeping.list_objects

    def closed_a_day_ago(store, prefix):
        for found in listed(store, prefix):
            yield replace(found, age=DAY) if found.key == closed_key(RUN) else found

    monkeypatch.setattr(sweeping, "list_objects", closed_a_day_ago)
    assert find_sweepable(store, "shop-a", 7 * DAY) == []
    assert len(find_sweepable(store, "shop-a", DAY)) == len(updates(finished, "shop-a"))


def test_an_update_that_another_run_needs_stays(finished, later, home):
    other = finished_run(home, "another-1", seed=finished.seed)
    other.store.delete(closed_key("another-1"))
    shared = updates(other, "shop-a")
    assert find_sweepable(finished.stores["shop-a"], "shop-a", 7 * DAY) == []
    assert shared == updates(finished, "shop-a")


def test_a_dry_look_removes_nothing(finished, later):
    before = updates(finished, "shop-a")
    assert find_sweepable(finished.stores["shop-a"], "shop-a", 7 * DAY)
    assert updates(finished, "shop-a") == before
    assert list(finished.store.list_keys(sweeps_prefix("shop-a"))) == []


def test_a_blob_that_is_put_again_while_the_sweep_runs_stays(finished, later, monkeypatch):
    """The store's own answer to the last look says that the blob is young."""
    store = finished.stores["shop-a"]
    again = sorted(updates(finished, "shop-a"))[0]
    age = ObjectStore.age
    monkeypatch.setattr(ObjectStore, "age", lambda self, key: 1.0 if key == again else age(self, key))
    gone = sweep(store, "shop-a", 7 * DAY)
    assert again not in {item.key for item in gone}
    assert updates(finished, "shop-a") == {again}
    assert noted(finished, "shop-a") == {item.key for item in gone}, "and no note says that it went"


def test_what_a_sweep_that_died_did_not_remove_is_taken_out_of_its_note(finished, later, monkeypatch):
    """It dies at its second removal; the next one spares what is left."""
    store, mine = finished.stores["shop-a"], sorted(updates(finished, "shop-a"))
    delete = ObjectStore.delete

    def die(self, key):
        if key == mine[1]:
            raise KeyboardInterrupt
        delete(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            sweep(store, "shop-a", 7 * DAY)
    assert updates(finished, "shop-a") == set(mine[1:])
    assert noted(finished, "shop-a") == set(mine), "it was written before anything went"
    assert sweep(store, "shop-a", 9 * DAY) == []
    assert noted(finished, "shop-a") == {mine[0]}


def test_the_note_of_a_sweep_that_may_go_on_stays(finished):
    """Another sweep of the same role wrote it less than an hour ago."""
    store, key = finished.stores["shop-a"], sorted(updates(finished, "shop-a"))[0]
    note = Sweep(role="shop-a", older_than=DAY, objects=(SweptObject(key=key, bytes=1),))
    store.create(sweep_key("shop-a", "other"), canonical_json(note))
    assert sweep(store, "shop-a", DAY) == []
    assert noted(finished, "shop-a") == {key}


def test_notes_do_not_become_many_to_read(finished, later, reads, tmp_path):
    """Those of earlier sweeps become one, which says the same."""
    store, mine = finished.stores["shop-a"], updates(finished, "shop-a")
    orphans = {orphan(store, "shop-a", name) for name in ("one", "two", "three")}
    for number, key in enumerate(sorted(orphans)):
        store.delete(key)
        note = Sweep(role="shop-a", older_than=7 * DAY, objects=(SweptObject(key=key, bytes=1),))
        store.create(sweep_key("shop-a", str(number)), canonical_json(note))
    assert {item.key for item in sweep(store, "shop-a", 7 * DAY)} == mine
    assert noted(finished, "shop-a") == mine | orphans
    reads.clear()
    assert sweep(store, "shop-a", 7 * DAY) == []
    assert len(reads) == len(list(store.list_keys(sweeps_prefix("shop-a")))) == 1
    assert noted(finished, "shop-a") == mine | orphans
    assert verify_run(finished.store, RUN, tmp_path).passed


def test_an_upload_that_nobody_finished_goes_by_its_age(finished, monkeypatch, later):
    store, key = finished.stores["shop-b"], "parties/shop-b/blobs/unfinished"
    upload = store.client.create_multipart_upload(Bucket=store.bucket, Key=key)["UploadId"]
    store.client.upload_part(Bucket=store.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    assert key not in {item.key for item in sweep(store, "shop-b", 9 * DAY)}
    gone = {item.key: item for item in sweep(store, "shop-b", 7 * DAY)}
    assert (gone[key].why, gone[key].size) == ("upload never finished", 4)
    assert list(list_uploads(store, "parties/shop-b/")) == []


@pytest.mark.parametrize("role", ["shop-b", "coordinator"])
def test_an_upload_below_what_is_a_roles_alone_goes_too(finished, later, role):
    """Of a data version of a party's, or of what a release leaves for DVC."""
    store = finished.store if role == "coordinator" else finished.stores[role]
    key = "private/models/files/md5/00/1" if role == "coordinator" else f"own/{role}/files/md5/00/1"
    upload = store.client.create_multipart_upload(Bucket=store.bucket, Key=key)["UploadId"]
    store.client.upload_part(Bucket=store.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    found = {item.key: (item.role, item.why, item.size) for item in sweep(store, role, 7 * DAY)}
    assert found[key] == (role, "upload never finished", 4)
    assert list(list_uploads(store, "private/" if role == "coordinator" else "own/shop-b/")) == []


def test_a_party_whose_versions_lie_elsewhere_needs_no_right_there(finished, later, monkeypatch):
    refused = sweeping.list_uploads

    def listed(store, prefix):
        if prefix.startswith("own/"):
            raise StoreRefused("The store refuses to list own/")
        return refused(store, prefix)

    monkeypatch.setattr(sweeping, "list_uploads", listed)
    mine = updates(finished, "shop-a")
    assert {item.key for item in sweep(finished.stores["shop-a"], "shop-a", 7 * DAY)} == mine


@pytest.mark.parametrize("garbage", ["longer than any message", "wrongly tagged"])
def test_what_a_party_leaves_does_not_hold_up_the_coordinators_sweep(finished, later, monkeypatch, garbage):
    """What it names within a message's length is spared, and a message needs nothing beyond it."""
    spared, swept = (orphan(finished.store, "coordinator", name) for name in ("spared", "swept"))
    filling = RECEIPT_LIMIT if garbage == "longer than any message" else 100
    data = f'"{blob_name(spared)}"{" " * filling}"{blob_name(swept)}"'.encode()
    party = finished.stores["shop-a"]
    metadata = {} if filling == RECEIPT_LIMIT else {"sha256": "0" * 64}
    key = f"{run_prefix('shop-a', RUN)}anything.json"
    party.client.put_object(Bucket=party.bucket, Key=key, Body=data, Metadata=metadata)
    most = []
    read = ObjectStore.read

    def counted(self, key, *limit, **options):
        found = read(self, key, *limit, **options)
        most.append(len(found or b""))
        return found

    monkeypatch.setattr(ObjectStore, "read", counted)
    gone = {item.key for item in sweep(finished.store, "coordinator", 7 * DAY)}
    assert gone == ({swept} if filling == RECEIPT_LIMIT else set())
    assert max(most) <= RECEIPT_LIMIT + 1


def test_a_damaged_message_of_ones_own_stops_a_sweep(finished, later):
    """What it referred to is not known."""
    store, key = finished.store, f"{run_prefix('coordinator', RUN)}anything.json"
    store.client.put_object(Bucket=store.bucket, Key=key, Body=b"{}", Metadata={"sha256": "0" * 64})
    with pytest.raises(IntegrityError):
        sweep(store, "coordinator", 7 * DAY)


@pytest.fixture
def reads(monkeypatch):
    """Keys that were fetched so far, by whomever."""
    fetched, fetch = [], ObjectStore._fetch

    def noted_fetch(self, key, limit):
        fetched.append(key)
        return fetch(self, key, limit)

    monkeypatch.setattr(ObjectStore, "_fetch", noted_fetch)
    return fetched


def test_a_message_that_stands_unchanged_is_read_once(finished, later, reads, home):
    """The coordinator keeps the models of all runs; of those that did not change it reads nothing again."""
    store = finished.store
    assert sweep(store, "coordinator", 7 * DAY) == []
    assert len([key for key in reads if f"/{RUN}/" in key]) > 40
    finished_run(home, "newer-1", seed=finished.seed + 1)
    reads.clear()
    key = orphan(store, "coordinator")
    assert [item.key for item in sweep(store, "coordinator", 7 * DAY)] == [key]
    assert not [key for key in reads if f"/{RUN}/" in key]
    assert len([key for key in reads if "/newer-1/" in key]) > 40
    reads.clear()
    assert sweep(store, "coordinator", 7 * DAY) == []
    assert len(reads) <= 2, "what was gathered, and the note of what went"


@pytest.mark.parametrize("role", ["coordinator", "shop-a"])
def test_what_was_gathered_spares_what_a_message_names_that_came_later(finished, later, role):
    """As one of a coordinator that was held up, and one that was put again."""
    store, writer = finished.store, finished.store if role == "coordinator" else finished.stores[role]
    assert sweep(store, "coordinator", 7 * DAY) == []
    first, second = (orphan(store, "coordinator", name) for name in ("first", "second"))
    for spared in (first, second):
        writer.put_blob(f"{run_prefix(role, RUN)}late.json", f'"{blob_name(spared)}"'.encode())
        assert spared not in {item.key for item in find_sweepable(store, "coordinator", 7 * DAY)}


@pytest.mark.parametrize("harm", ["gone", "damaged", "no document"])
def test_what_was_gathered_is_only_a_saving(finished, later, harm):
    store, before = finished.store, set(finished.store.list_keys("coordinator/blobs/"))
    sweep(store, "coordinator", 7 * DAY)
    store.delete(REFERENCES_KEY)
    if harm != "gone":
        metadata = {"sha256": "0" * 64} if harm == "damaged" else {}
        body = b'{"gathered":[]}' if harm == "damaged" else b"[]"
        store.client.put_object(Bucket=store.bucket, Key=REFERENCES_KEY, Body=body, Metadata=metadata)
    key = orphan(store, "coordinator")
    assert [item.key for item in sweep(store, "coordinator", 7 * DAY)] == [key]
    assert set(store.list_keys("coordinator/blobs/")) == before
    assert len(References.model_validate_json(store.read(REFERENCES_KEY)).gathered) == 1


def test_a_party_reads_no_message_of_a_run_that_is_over(finished, later, reads):
    sweep(finished.stores["shop-a"], "shop-a", 7 * DAY)
    assert [key for key in reads if "/runs/" in key] == []


def test_nobody_sweeps_for_somebody_else(finished, later):
    with pytest.raises(StoreRefused):
        sweep(finished.stores["shop-a"], "shop-b", 7 * DAY)
    before = updates(finished, "shop-a")
    with pytest.raises(StoreRefused):
        sweep(finished.store, "shop-a", 7 * DAY)
    assert updates(finished, "shop-a") == before


def test_a_bound_below_an_hour_is_refused(finished):
    with pytest.raises(InputError) as caught:
        sweep(finished.store, "coordinator", 3599.0)
    assert caught.value.code == "bound-too-short"
