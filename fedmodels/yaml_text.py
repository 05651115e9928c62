"""YAML that a person wrote, read strictly: whatever is wrong with it is one kind of fault, with its line."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"
"""Of the key `<<`, which PyYAML resolves by itself."""


class YamlFault(Exception):
    """The text is not valid YAML.

    Args:
        place: ` in line 3`, or nothing where that is not known.
        reason: `: there is no such timestamp` and the like; empty for a fault of syntax. It holds no value.
        fix: what to do next.
    """

    def __init__(self, place: str = "", reason: str = "", fix: str = "correct its syntax") -> None:
        self.fix = fix
        super().__init__(f"not valid YAML{place}{reason}")


def read_yaml(path: Path) -> Any:
    """The document of a file in UTF-8, of plain values alone; a key stands once in a mapping.

    Raises:
        OSError: the file cannot be read.
        YamlFault: its content is not UTF-8 or no YAML, or a value is none of its type: `2026-02-30`.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        if isinstance(error, _KeyTwice):
            raise YamlFault(place, f": {error.problem}", "leave one of the two out") from None
        if isinstance(error, _NoSuchValue):
            raise YamlFault(place, f": {error.problem}", "put the value in quotes if it is text") from None
        raise YamlFault(place) from None
    except UnicodeDecodeError:
        raise YamlFault(reason=": it is not UTF-8 text", fix="save it in UTF-8") from None
    except RecursionError:
        raise YamlFault(reason=": it is nested too deeply") from None


class _NoSuchValue(yaml.constructor.ConstructorError):
    """A scalar looks like a value of a type, or is said to be one, and is none."""


class _KeyTwice(yaml.constructor.ConstructorError):
    """A mapping has a key twice, of which YAML would keep the last in silence."""


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that stands twice, and of whose faults each is a `YAMLError`."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, AttributeError, OverflowError):  # of PyYAML's constructors
            kind = node.tag.rpartition(":")[2]
            raise _NoSuchValue(None, None, f"there is no such {kind}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                first = f"its key stands in line {seen[key]} already"
                raise _KeyTwice(None, None, first, key_node.start_mark)
            if isinstance(key, Hashable):
                seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)
