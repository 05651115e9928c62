"""The watcher itself: each way in which a program here can open a file is noted, at the coordinator alone."""

import ast
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.federation import REPOSITORY, WATCHER
from tests.end_to_end.watcher import ARROW

IMPORTS = """
import os, pathlib, sqlite3, sys
import pandas as pd, pyarrow as pa, pyarrow.dataset, pyarrow.parquet as pq
path = sys.argv[1]
"""
WAYS = {
    "Python": "open(path, 'rb').close()",
    "Python, a relative path": "os.chdir(os.path.dirname(path)); open(os.path.basename(path)).close()",
    "SQLite": "sqlite3.connect(path).close()",
    "a Parquet file": "pq.ParquetFile(path)",
    "a Parquet file, by name": "pq.ParquetFile(source=pathlib.Path(path), memory_map=True)",
    "a Parquet table": "pq.read_table(path)",
    "Parquet tables": "pq.ParquetDataset([path]).read()",
    "a Parquet schema": "pq.read_schema(path)",
    "Parquet metadata": "pq.read_metadata(path)",
    "pandas": "pd.read_parquet(path)",
    "a data set": "pa.dataset.dataset(path).head(1)",
    "Arrow, a URI": "pq.read_table('file://' + path)",
    "Arrow's file": "pa.OSFile(path).close()",
    "Arrow's memory map": "pa.memory_map(path).close()",
    "Arrow's stream": "pa.input_stream(path).close()",
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A folder that is watched, with a table in it, and what a process needs to be watched."""
    folder = tmp_path_factory.mktemp("watched").resolve()
    private, log = folder / "private", folder / "opened.log"
    private.mkdir()
    pq.write_table(pa.table({"text": ["works great"]}), private / "table.parquet")
    pq.write_table(pa.table({"text": ["works great"]}), folder / "table.parquet")
    (folder / "sitecustomize.py").write_text(WATCHER.format(watched=(str(private),), log=str(log)))
    return folder


def opened(watched, way, *, role="coordinator", folder="private"):
    log = watched / "opened.log"
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(watched), str(REPOSITORY))),
        "FEDCART_CONFIG": f"/somewhere/{role}/fedcart.toml",
    }
    program = [sys.executable, "-c", IMPORTS + WAYS[way], str(watched / folder / "table.parquet")]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(log.read_text().split("\n")) - {""} if log.exists() else set()


@pytest.mark.parametrize("way", WAYS)
def test_what_the_coordinator_opens_is_noted(watched, way):
    assert opened(watched, way) == {str(watched / "private" / "table.parquet")}


@pytest.mark.parametrize("way", ["Python", "a Parquet table"])
def test_other_folders_and_a_partys_own_processes_are_not(watched, way):
    assert opened(watched, way, folder=".") == set()
    assert opened(watched, way, role="parties/shop-a") == set()


def test_nothing_here_reads_with_arrow_by_another_way():
    known = {name.removesuffix(".core") for name in ARROW} | {"pyarrow", "pyarrow.types"}
    used = set()
    for package in ("flows", "tasks", "fedmodels", "validation", "infra"):
        for path in (REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    used |= {name.name for name in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    arrows = {name for name in used if name.split(".")[0] == "pyarrow"}
    assert "pyarrow.parquet" in arrows
    assert arrows <= known
