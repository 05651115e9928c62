"""What is common to all recipes in the models repository: what fedcart writes is taken, in any version."""

from types import SimpleNamespace

import pytest

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import sha256_hex
from infra.dvc_tracking import DvcRemotes
from infra.models_repository import Change
from tasks.release import common_files as written
from tasks.release.common_files import COMMON, common_files, is_common
from tasks.release.recorded_moves import _check_common

TODAY = {
    ".dvc/config": "debf0fe7",
    ".dvc/.gitignore": "cda3fc1a",
    ".gitignore": "f6a66729",
    "README.md": "fca56cfa",
    "dvc.yaml": "d95b44f7",
}
PATHS = ("models/a.dvc", "sets/a/holdout.csv.dvc")
REMOTES = DvcRemotes(
    {
        name: {
            "url": f"s3://fedcart/private/{name}",
            "region": "us-east-1",
            "endpointurl": "http://127.0.0.1:1",
            "verify": True,
        }
        for name in ("models", "sets")
    },
    {},
)
MADE = common_files(PATHS, REMOTES.config())


def test_what_is_written_is_what_earlier_commits_hold():
    """Once this changes, `is_common` has to take what was written before: those commits stay."""
    assert {path: sha256_hex(data)[:8] for path, data in MADE.items()} == TODAY
    assert set(MADE) == COMMON


@pytest.mark.parametrize("path", sorted(COMMON))
def test_only_what_is_written_is_taken(path):
    assert is_common(path, MADE[path], MADE)
    assert not is_common(path, MADE[path] + b"# more\n", MADE)
    assert not is_common(path, None, MADE)


def test_a_readme_of_before_is_taken(monkeypatch):
    assert not is_common("README.md", b"of before", MADE)
    monkeypatch.setattr(written, "_READMES_BEFORE", frozenset({sha256_hex(b"of before")}))
    assert is_common("README.md", b"of before", MADE)


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ("url = s3://fedcart/private/sets", "url = s3://moved/private/sets", True),
        ("endpointurl = http://127.0.0.1:1", "endpointurl = https://s3.example.com", True),
        ("    region = us-east-1\n", "", True),
        ("verify = true", "verify = false", False),
        ("remote = models", "remote = sets", False),
        ("region = us-east-1", "region = us\r    ssl_verify = false", False),
        ("region = us-east-1", "region = '''us", False),
        ("region = us-east-1", "region = us # more", False),
    ],
)
def test_of_dvcs_settings_places_alone_may_be_others(old, new, taken):
    config = REMOTES.config().replace(old, new)
    assert config != REMOTES.config()
    assert is_common(".dvc/config", config.encode(), MADE) is taken


def test_a_move_that_brings_one_set_and_drops_another_names_both():
    """As it was written: the files of the commit before are still there when the new ones come."""
    before = {"models/a.dvc": b"", "sets/a/holdout.csv.dvc": b""}
    after = {"models/a.dvc": b"", "sets/a/validation.csv.dvc": b""}
    made = common_files({*before, *after}, REMOTES.config())
    trees = {"p": before, "c": {**after, ".gitignore": made[".gitignore"]}}
    repository = SimpleNamespace(
        paths=lambda commit: frozenset(trees[commit]),
        files=lambda commit, below: {path: data for path, data in trees[commit].items() if path == below},
    )
    change = Change("c", frozenset({".gitignore"}), parent="p")
    _check_common(repository, change, REMOTES)
    trees["c"] = {**after, ".gitignore": common_files(after, REMOTES.config())[".gitignore"] + b"/more\n"}
    with pytest.raises(IntegrityError, match=r"changes \.gitignore"):
        _check_common(repository, change, REMOTES)
