from datetime import UTC, datetime

import pytest

from fedmodels.data.versions import PinnedTable, PinnedVersion, broken_at, keyed_hash, next_version

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def table(digit, size=10):
    return PinnedTable(md5=digit * 32, bytes=size, rows=2, suffix=".csv", columns=(("text", "string"),))


def history(*digits, key=KEY):
    versions: tuple[PinnedVersion, ...] = ()
    for digit in digits:
        versions += (next_version(versions, "reviews", {"train": table(digit)}, NOW, key),)
    return versions


def test_equal_tables_of_one_party_have_one_hash_and_of_two_parties_two():
    one = {"train": table("a"), "holdout": table("b")}
    assert keyed_hash(one, KEY) == keyed_hash(dict(reversed(one.items())), KEY)
    assert keyed_hash(one, KEY) != keyed_hash(one, OTHER)


@pytest.mark.parametrize(
    "other",
    [
        {"train": table("b"), "holdout": table("a")},
        {"train": table("a"), "fresh": table("b")},
        {"train": table("a")},
        {"train": table("a"), "holdout": table("b", size=11)},
    ],
)
def test_other_tables_have_another_hash(other):
    assert keyed_hash(other, KEY) != keyed_hash({"train": table("a"), "holdout": table("b")}, KEY)


def test_versions_are_numbered_and_a_content_that_comes_back_is_a_new_one_with_the_old_hash():
    first, second, third = history("a", "b", "a")
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert first.keyed_hash == third.keyed_hash != second.keyed_hash
    assert first.seal != third.seal
    assert (third.rows, third.size) == (2, 10)


def test_a_history_holds_together_for_who_has_the_key_and_nobody_else():
    assert broken_at((), KEY) is None
    assert broken_at(history("a", "b", "c"), KEY) is None
    assert broken_at(history("a", "b", "c"), OTHER) == 1
    assert broken_at(history("a", "b", key=OTHER), KEY) == 1


def test_what_was_changed_removed_or_reordered_is_found():
    first, second, third = history("a", "b", "c")
    assert broken_at((second, third), KEY) == 1
    assert broken_at((first, third), KEY) == 2
    assert broken_at((first, third, second), KEY) == 2
    later = second.model_copy(update={"created": NOW.replace(year=2027)})
    assert broken_at((first, later, third), KEY) == 2
    _, strange, _ = history("a", "d", "c")
    assert broken_at((first, strange, third), KEY) == 3
    assert broken_at((first, PinnedVersion.model_validate_json(second.model_dump_json())), KEY) is None
