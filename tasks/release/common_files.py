"""What the models repository holds beside its releases: how git, DVC and people find their way in it."""

import re
from collections.abc import Collection, Mapping

import yaml

from fedmodels.protocol.canonical import sha256_hex

_README = """# Models that fedcart released

A commit is a move of a recipe's champion, and the branch shows the champion of each recipe. A release has the
tag `RECIPE@vN.0.0`, the champion's moves have `RECIPE#champion#N`: the convention of GTO.

    gto show RECIPE                           # its releases, and which one is the champion
    dvc get . models/RECIPE --rev RECIPE@vN.0.0
    dvc metrics diff RECIPE@v1.0.0 RECIPE@v2.0.0

`models/RECIPE` loads with `from_pretrained`, and its `model.sig` signs every file but the card:

    dvc get . releases/RECIPE/model-signing-key.pub
    model_signing verify key RECIPE --signature RECIPE/model.sig --public_key model-signing-key.pub

Ask whoever released it whether the key is theirs. `releases/RECIPE` holds card, metrics, report and the
signed lineage record; `sets/RECIPE` what the coordinator judged it by, in a remote of its own.

fedcart makes all of this from its bucket, and writes it again: change nothing here.
"""
_READMES_BEFORE = frozenset(
    {
        "a9da6064d2828d42d8b50564dc562bce5802c5ed254cc7cdbdaa47b37ac9f4ec",
        "6f17ac432201e6f99ce51db91e2a7973715e706827264e7dded708a13fa7c05e",
    }
)
"""SHA-256 of what stood there in earlier versions; their commits stay."""
COMMON = frozenset({".dvc/config", ".dvc/.gitignore", ".gitignore", "README.md", "dvc.yaml"})
"""Paths of what is no release's."""
_PLACES = re.compile(rb"(?m)^    (?:url|region|endpointurl) = [^\s'\"#;]*\n")
"""Lines of `.dvc/config` that say where the bucket is, and nothing else: it can have moved since a commit."""


def common_files(paths: Collection[str], config: str) -> dict[str, bytes]:
    """What the repository holds beside its releases.

    Args:
        paths: of everything else in it.
        config: DVC's.
    """
    recipes = sorted(
        path.removeprefix("models/").removesuffix(".dvc")
        for path in paths
        if path.startswith("models/") and path.endswith(".dvc")
    )
    ignored = sorted(f"/{path.removesuffix('.dvc')}\n" for path in paths if path.endswith(".dvc"))
    stated = {
        "artifacts": {
            recipe: {"path": f"models/{recipe}", "type": "model", "desc": f"The model of {recipe}"}
            for recipe in recipes
        },
        "metrics": [f"releases/{recipe}/metrics.json" for recipe in recipes],
    }
    return {
        ".dvc/config": config.encode(),
        ".dvc/.gitignore": b"/config.local\n/tmp\n/cache\n",
        ".gitignore": "".join(ignored).encode(),
        "README.md": _README.encode(),
        "dvc.yaml": yaml.safe_dump(stated, sort_keys=False).encode(),
    }


def is_common(path: str, data: bytes | None, made: Mapping[str, bytes]) -> bool:
    """Whether what stands at a path of `COMMON` is what `common_files` makes, or made before.

    Args:
        path: of the file.
        data: its content; `None` where there is no such file.
        made: what would be written today.
    """
    if data is None:
        return False
    if path == "README.md" and sha256_hex(data) in _READMES_BEFORE:
        return True
    if path == ".dvc/config":
        return _PLACES.sub(b"", data) == _PLACES.sub(b"", made[path])
    return data == made[path]
