"""What the README shows is true: its recipe is valid, its commands exist, its files are there."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fedmodels.recipe import Recipe
from flows.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    set(
        re.findall(
            r"^ {4}(?:\.venv/bin/)?fedcart ((?:runs|data|drift|release) [a-z]+|[a-z]+)", README, re.MULTILINE
        )
    )
)


def test_the_recipe_it_shows_is_valid():
    (block,) = re.findall(r"<!-- own-recipe -->\n```yaml\n(.*?)```", README, re.DOTALL)
    recipe = Recipe.model_validate(yaml.safe_load(block))
    assert recipe.parties == ("shop-a", "shop-b")


def test_it_shows_commands():
    assert {"demo", "train", "predict", "runs list", "data prepare"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_it_shows_exist(command):
    done = CliRunner().invoke(app, [*command.split(), "-h"])
    assert done.exit_code == 0, done.output
    assert f"Usage: fedcart {command} " in done.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_the_files_it_links_are_there(target):
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^ {4})make ([a-z]+)", README, re.MULTILINE))))
def test_the_targets_it_names_are_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
