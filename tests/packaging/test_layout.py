"""The folders are what is installed: generic names resolve here, and importing one runs nothing."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "fedmodels", "validation", "infra", "bench")


def python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_every_top_level_name_resolves_inside_the_repository(tmp_path):
    code = (
        "import importlib.util as u, json, sys;"
        "print(json.dumps([u.find_spec(n).origin for n in sys.argv[1:]]))"
    )
    found = json.loads(python(code, *PACKAGES, cwd=tmp_path).stdout)
    assert found == [str(ROOT / name / "__init__.py") for name in PACKAGES]


def test_the_packages_are_all_that_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_init_is_there_and_empty(package):
    for folder in {module.parent for module in (ROOT / package).rglob("*.py")}:
        init = folder / "__init__.py"
        assert init.exists(), f"{folder.relative_to(ROOT)} has no __init__.py"
        assert init.read_bytes() == b"", f"{init.relative_to(ROOT)} is not empty"


@pytest.mark.parametrize("arguments", [["-h"], ["demo", "-h"], ["runs", "-h"]])
def test_help_imports_neither_prefect_nor_torch(tmp_path, arguments):
    code = (
        "import sys\n"
        "from flows.cli.main import main\n"
        "sys.argv = ['fedcart', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "heavy = {'prefect', 'torch', 'transformers', 'great_expectations', 'dvc', 'pandas', 'boto3'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    answer = python(code, *arguments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "[]"
    assert "Usage" in answer.stdout
