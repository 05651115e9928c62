"""A command that was called wrongly is refused like anything else: one sentence, a next step, a code.

typer would print a usage line and a frame, without a code, and pydantic's words for a number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import typer
from typer._click.exceptions import (  # typer has no public names for them
    BadOptionUsage,
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)
from typer.core import TyperArgument, TyperGroup

from fedmodels.errors import InputError

_NUMBERS = {int: "integer", float: "number"}
"""Types of values, as a JSON schema names them."""


@contextmanager
def usage_as_refusal(context: typer.Context) -> Iterator[None]:
    """Raise typer's usage errors as ours. A group without any command still prints its help.

    Args:
        context: of the command whose words are read; an error that knows a deeper one wins.

    Raises:
        InputError: `usage`.
    """
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        where: Any = error.ctx or context
        raise _refusal(_sentence(error, where), where) from None


def refuse_unknown_command(group: TyperGroup, context: typer.Context, name: str) -> None:
    """See that a group has a command.

    Raises:
        InputError: `usage`: it has not; the sentence names the one that was perhaps meant, or all.
    """
    if name in group.commands:
        return
    meant = get_close_matches(name, group.commands, n=1)
    hint = f", perhaps {meant[0]} is meant" if meant else f"; it has {', '.join(group.commands)}"
    raise _refusal(f"{_called_as(context)} has no command {name!r}{hint}", context)


def _refusal(sentence: str, context: Any) -> InputError:
    return InputError(sentence, fix=f"see {_called_as(context)} --help", code="usage")


def _called_as(context: Any) -> str:
    """`fedcart runs show`, however the program itself was started."""
    names: list[str] = []
    while context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return " ".join(["fedcart", *names])


def _sentence(error: UsageError, context: Any) -> str:
    command = _called_as(context)
    match error:
        case NoSuchOption(option_name=name, possibilities=like):
            return f"{command} has no option {name!r}" + (f", perhaps {like[0]} is meant" if like else "")
        case BadOptionUsage(option_name=name):
            params = context.command.get_params(context)
            option = next(param for param in params if name in (*param.opts, *param.secondary_opts))
            wants = "takes no value" if option.is_flag else f"needs a value, {_placeholder(option)}"
            return f"The option {name} of {command} {wants}"
        case MissingParameter(param=param) if param is not None:
            return f"{command} needs {_named(param)}"
        case BadParameter(param=param) if param is not None:
            return _wrong_value(error, param)
    return error.format_message().rstrip(".")


def _named(param: Any) -> str:
    """An argument by its placeholder, an option by its longest name."""
    return _placeholder(param) if isinstance(param, TyperArgument) else str(max(param.opts, key=len))


def _placeholder(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _wrong_value(error: BadParameter, param: Any) -> str:
    """`--to is '0', but must be a whole number of at least 1`; typer's own words of what is no number."""
    from pydantic import ValidationError

    from fedmodels.document_faults import fault_of_value

    kind, cause = _NUMBERS.get(param.type_descriptor.annotation), error.__cause__
    if kind is None or not isinstance(cause, ValidationError):
        return f"{_named(param)}: {error.message.rstrip('.')}"
    info = param.type_descriptor.parameter_info
    bounds = {"minimum": info.min, "maximum": info.max}
    schema = {"type": kind, **{name: bound for name, bound in bounds.items() if bound is not None}}
    return fault_of_value(_named(param), cause.errors()[0]["input"], schema)
