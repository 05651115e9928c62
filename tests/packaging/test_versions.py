"""Pins: complete, exact, and what is installed; and one version in every place that names it."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
PINS = {canonicalize_name(name): Version(pin) for name, pin in (line.split("==") for line in LINES)}
FLOORS = {"torch": "2.10", "transformers": "5.5", "prefect": "3.6.28"}
"""Below these versions each has a published hole."""


def test_every_line_is_an_exact_pin_of_a_public_version():
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), f"{line!r} is no plain pin"


def test_every_name_is_pinned_once():
    assert len(PINS) == len(LINES)


def test_everything_that_the_project_asks_for_is_pinned():
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {canonicalize_name(Requirement(line).name) for line in asked} <= PINS.keys()


def test_what_is_installed_is_what_is_pinned():
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    for name in sorted(canonicalize_name(Requirement(line).name) for line in asked):
        assert Version(version(name)).public == PINS[name].public, f"{name} is not at its pin"


def test_versions_with_known_holes_are_not_pinned():
    for name, floor in FLOORS.items():
        assert PINS[name] >= Version(floor)


def test_torch_names_its_version_and_no_build():
    assert "torch==2.13.0" in LINES


def test_fastapi_is_one_with_which_the_prefect_server_starts():
    assert Version("0.139") <= PINS["fastapi"] < Version("0.151")


def test_the_changelog_is_headed_by_the_projects_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0] == PROJECT["version"] == version("fedcart")
