"""Doctor's looks at the machine: each can fail."""

from pathlib import Path

import pytest

from infra import diagnosis
from infra.diagnosis import check_disk, check_gpu, check_python, check_versions


def test_this_environment_is_as_pinned():
    assert check_python().passed
    found = check_versions()
    assert found.passed, found.detail
    assert int(found.detail.split()[0]) > 100


def test_another_version_is_named(tmp_path: Path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        "# pins\nboto3==0.0.1\nprefect==3.8.8 ; python_version > '3'\nnot-installed-here==1.0\n"
    )
    found = check_versions(constraints)
    assert not found.passed
    assert "boto3" in found.detail
    assert "instead of 0.0.1" in found.detail
    assert "prefect" not in found.detail


def test_constraints_that_pin_nothing_installed_do_not_pass(tmp_path: Path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("not-installed-here==1.0\n")
    assert not check_versions(constraints).passed


def test_a_full_disk_is_seen_even_where_the_folder_is_not_there_yet(tmp_path: Path, monkeypatch):
    assert "GB" in check_disk(tmp_path / "a" / "b").detail
    monkeypatch.setattr(diagnosis, "LEAST_FREE_GB", 1e9)
    assert not check_disk(tmp_path).passed


@pytest.mark.parametrize(("script", "passed"), [("echo 'NVIDIA T, 10 MiB'", True), ("exit 9", False)])
def test_a_gpu_is_named_and_a_broken_driver_is_a_fault(
    tmp_path: Path, monkeypatch, script: str, passed: bool
):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = check_gpu()
    assert found.passed is passed
    assert ("NVIDIA T, 10 MiB" in found.detail) is passed


def test_no_gpu_is_no_fault(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_gpu().passed
