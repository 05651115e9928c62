"""All faults of a validated document in one clause, the way a person would list them."""

from pydantic import ValidationError

from fedmodels.words import counted


def describe_faults(error: ValidationError, *, quote: bool = True) -> str:
    """`2 faults: num_rounds is 'x', should be a valid integer; colour is not a known key`.

    Args:
        error: what pydantic raised.
        quote: whether to show values, the short scalars among them: never where secrets and paths stand.
    """
    faults = [
        _describe(item["loc"], item["type"], item["msg"], item.get("input") if quote else None)
        for item in error.errors()
    ]
    return f"{counted(len(faults), 'fault')}: {'; '.join(faults)}"


def _describe(location: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    where = ".".join(str(part) for part in location if part != "[key]") or "the document"
    if kind == "extra_forbidden":
        return f"{where} is not a known key"
    if kind == "missing":
        return f"{where} is missing"
    if kind == "value_error":
        return f"{where}: {message.removeprefix('Value error, ')}"
    said = message.removeprefix("Input ")
    shown = (
        f"{where} is {value!r}"
        if isinstance(value, str | int | float | bool) and len(str(value)) < 60
        else where
    )
    return f"{shown}, {said[0].lower()}{said[1:]}"
