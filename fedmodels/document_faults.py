"""All faults of a validated document in one clause, the way a person would list them.

Pydantic says where a fault lies and of what type it is. What may stand there, with its bounds, is read from
the JSON schema of the model, so that `num_rounds: many` is told its bounds as well as `num_rounds: 0`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from fedmodels.identifiers import ID_PATTERN, PRINTABLE_PATTERN
from fedmodels.words import counted

Location = tuple[int | str, ...]
Schema = Mapping[str, Any]
FORMS = {
    ID_PATTERN: "an id of 1 to 31 lower-case letters, digits or hyphens",
    PRINTABLE_PATTERN: "a name of 1 to 64 printable characters",
}
"""Patterns in words."""
_KEY = "[key]"
"""What pydantic appends to the location of a faulty key."""
_OF_PLACE = "fault_of_place"
"""Type of the errors of `fault_of_place`."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_LIKENESS = 0.7
"""Of two keys, 0 to 1, from which one is taken for a misspelling of the other."""
_LONGEST = 60
"""Of a text that is repeated, in characters."""


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "the document"


def describe_faults(
    error: ValidationError,
    model: type[BaseModel],
    *,
    quote: bool = True,
    named: Callable[[Location], str] = _dotted,
) -> str:
    """`2 faults: num_rounds is 'x', but must be a whole number of at least 1; colour is not a known key`.

    No value is shown that stands where a secret or a `Path` belongs, or a mapping that holds one.

    Args:
        error: what pydantic raised.
        model: of what it was raised.
        quote: whether to show the other values, the short scalars among them. A number that stands where a
            number belongs is shown in any case.
        named: how a place is called; by default its keys, with dots between them.
    """
    schema = _Places(model.model_json_schema())
    clauses = dict.fromkeys(_clause(item, schema, quote=quote, named=named) for item in error.errors())
    return f"{counted(len(clauses), 'fault')}: {'; '.join(clauses)}"


def fault_of_place(said: str) -> PydanticCustomError:
    """For a validator to raise: what is wrong with its place, as the words that follow the place's name."""
    return PydanticCustomError(_OF_PLACE, "{said}", {"said": said})


def with_fault(error: ValidationError, said: str) -> ValidationError:
    """For a validator around a model to raise: the faults of its fields, and one of the whole of it."""
    faults = [
        InitErrorDetails(type=item["type"], loc=item["loc"], input=item["input"], ctx=item.get("ctx", {}))
        for item in error.errors()
    ]
    whole = PydanticCustomError("value_error", "{said}", {"said": said})
    return ValidationError.from_exception_data(
        error.title, [*faults, InitErrorDetails(type=whole, input=None)]
    )


def fault_of_value(name: str, value: object, schema: Schema) -> str:
    """`num_rounds is 'x', but must be a whole number of at least 1`: one value that is told in any case."""
    shown = _shown(value, schema, quote=True)
    return f"{name}{shown}{', but' if shown else ''} must be {_wanted(schema)}"


class _Places:
    """Where in a document what may stand, by the JSON schema of its model."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def walk(self, location: Location) -> tuple[Location, Schema]:
        """The longest beginning of a location that is a place of the document, and what may stand there.

        Pydantic appends to the location of a union which of its members it tried.
        """
        here, known = self._plain(self._root), 0
        for part in location:
            below = self._below(here, part)
            if below is None:
                break
            here, known = below, known + 1
        return location[:known], here

    def keys(self, location: Location) -> tuple[str, ...]:
        """The keys that are known at a place."""
        return tuple(self.walk(location)[1].get("properties", {}))

    def elsewhere(self, key: str) -> Iterator[str]:
        """Sections of the document that know the key, each with it."""
        return (f"{section}.{key}" for section in self.keys(()) if key in self.keys((section,)))

    def is_private(self, schema: Schema) -> bool:
        """Whether a secret or a path belongs here, or below."""
        here = self._plain(schema)
        if here.get("writeOnly") or here.get("format") == "path":
            return True
        below = (*here.get("properties", {}).values(), here.get("additionalProperties"))
        return any(self.is_private(each) for each in below if isinstance(each, dict))

    def _below(self, here: Schema, part: int | str) -> Schema | None:
        if isinstance(part, int) and here.get("type") == "array":
            items: list[Schema] = here.get("prefixItems", [])
            below = items[part] if part < len(items) else here.get("items")
        else:
            own, others = here.get("properties", {}), here.get("patternProperties", {})
            below = own.get(part) or here.get("additionalProperties") or next(iter(others.values()), None)
        return self._plain(below) if isinstance(below, dict) else None

    def _plain(self, schema: Schema) -> Schema:
        """Without references, and without the `null` of what may be left out."""
        while "$ref" in schema:
            schema = self._root["$defs"][schema["$ref"].rpartition("/")[2]]
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        return self._plain(kinds[0]) if len(kinds) == 1 else schema


def _clause(
    item: Mapping[str, Any], places: _Places, *, quote: bool, named: Callable[[Location], str]
) -> str:
    location: Location = item["loc"]
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        return f"{named(location)} is not a known key{_suggestion(location, places)}"
    if kind == "missing" and isinstance(location[-1], str):
        return f"{named(location)} is missing"
    if kind == "value_error":
        said = str(item["msg"].removeprefix("Value error, "))
        return f"{named(location)}: {said}" if location else said
    if kind == _OF_PLACE:
        return f"{named(location[:-1] if location[-1:] == (_KEY,) else location)} {item['msg']}"
    if location[-1:] == (_KEY,):
        key = f"{location[-2]!r}" if quote else "a key"
        names = _names(places.walk(location[:-2])[1])
        return f"{named(location[:-2])} has the key {key}, but each key must be {_wanted(names)}"
    place, schema = places.walk(location[:-1] if kind == "missing" else location)
    wanted = _wanted(schema)
    if kind == "finite_number":
        wanted = wanted.replace("a number", "a finite number")
    if places.is_private(schema):
        return f"{named(place)} must be {wanted}"
    shown = _shown(value, schema, quote=quote) if place else " is empty" * (value is None)
    return f"{named(place)}{shown}{', but' if shown else ''} must be {wanted}"


def _suggestion(location: Location, places: _Places) -> str:
    key = str(location[-1])
    meant = get_close_matches(key, places.keys(location[:-1]), n=1, cutoff=_LIKENESS)
    meant = meant or list(places.elsewhere(key))
    return f", perhaps {' or '.join(meant)} is meant" if meant else ""


def _shown(value: object, schema: Schema, *, quote: bool) -> str:
    """` is 'x'`; empty when the value is not to be shown."""
    plain = isinstance(value, bool | int | float) or bool(_NUMBER.fullmatch(str(value)))
    if not quote and not (plain and schema.get("type") in ("integer", "number")):
        return ""
    match value:
        case None:
            return " is null"
        case bool():
            return f" is {str(value).lower()}"
        case str():
            return f" is {value!r}" if len(value) < _LONGEST else ""
        case int() | float():
            return f" is {value}"
        case list() | tuple():
            return f" is a list of {counted(len(value), 'value')}"
        case _:
            return ""


def _names(schema: Schema) -> Schema:
    """What the keys of a mapping must be."""
    patterns = [{"pattern": pattern} for pattern in schema.get("patternProperties", ())]
    names: Schema = schema.get("propertyNames") or next(iter(patterns), {})
    return names


def _wanted(schema: Schema) -> str:
    """What must stand at a place."""
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "integer"]
        return _one_of(_wanted(kind) for kind in kinds)
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return _one_of(map(str, choices))
    match schema.get("type"):
        case "integer":
            return f"a whole number{_bounds(schema)}"
        case "number":
            return f"a number{_bounds(schema)}"
        case "boolean":
            return "true or false"
        case "array":
            return f"a list of {len(schema['prefixItems'])} values" if "prefixItems" in schema else "a list"
        case "object":
            return "a mapping of keys to values"
        case _:
            return _text(schema)


def _one_of(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _bounds(schema: Schema) -> str:
    """` of at least 1 and at most 9`, ` above 0`; empty when there are none."""
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    said = " and ".join(
        f"{word} {_plain_number(schema[key])}" for key, word in words.items() if key in schema
    )
    return f" of {said}" if said.startswith("at") else f" {said}" if said else ""


def _plain_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _text(schema: Schema) -> str:
    if pattern := schema.get("pattern"):
        return FORMS.get(pattern) or f"like {' or '.join(schema.get('examples', [pattern]))}"
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most:
        return f"text of {least} to {most} characters"
    return "text that is not empty" if least else "text"
