"""A role's settings file: merged, private, and safe from commands that write it side by side."""

import subprocess
import sys
import tomllib
from functools import partial

import pytest

from fedmodels.errors import InputError
from infra import role_settings as writing
from infra.file_lock import locked_file
from infra.locations import role_settings
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings

WRITE = """
import sys
from pathlib import Path
from infra.role_settings import update_role_settings
for n in range(25):
    update_role_settings(Path(sys.argv[1]), "shop-a", {"model_folders": {f"{sys.argv[2]}-{n}": "/x"}})
"""


def test_what_several_processes_note_is_all_kept(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, tmp_path, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    written = tomllib.loads(role_settings(tmp_path, "shop-a").read_text())
    assert set(written["model_folders"]) == {f"{name}-{n}" for name in "abc" for n in range(25)}


@pytest.mark.parametrize("content", [b"not = = toml", b'role = "caf\xe9"', b"tables = " + 5000 * b"["])
def test_a_file_that_is_no_toml_is_a_sentence_whoever_reads_it(tmp_path, content):
    path = role_settings(tmp_path, "shop-a")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for use in (load_role_settings, partial(update_role_settings, changes={"role": "shop-a"})):
        with pytest.raises(InputError) as caught:
            use(tmp_path, "shop-a")
        assert str(caught.value) == (
            "The settings file of shop-a is not valid TOML in UTF-8; correct its syntax."
        )
        assert caught.value.code == "settings-invalid"
    assert path.read_bytes() == content


def test_changes_are_merged_and_comments_stay(tmp_path):
    path = role_settings(tmp_path, "shop-a")
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nrole = "shop-a"\n[tables.old]\ntrain = "/a"\n')
    update_role_settings(tmp_path, "shop-a", {"tables": {"new": {"train": "/b"}}, "role": None})
    assert path.read_text().startswith("# mine\n")
    assert tomllib.loads(path.read_text()) == {"tables": {"old": {"train": "/a"}, "new": {"train": "/b"}}}
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_lock_that_is_not_given_back_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "LOCK_TIMEOUT_S", 0.1)
    path = role_settings(tmp_path, "shop-a")
    with locked_file(path.with_name(".fedcart.toml.lock"), 1.0) as held:
        assert held
        with pytest.raises(InputError) as caught:
            update_role_settings(tmp_path, "shop-a", {"role": "shop-a"})
    assert caught.value.code == "settings-busy"
    assert not path.exists()
