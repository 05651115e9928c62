"""Help that reads like a manual page, and wrong words that are refused like anything else.

In the usage line an argument is `RUN`, and a flag has no type. typer writes `{RUN}` there, `<str>` beside an
argument that has a name and `<bool>` beside a flag, and has no setting for it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from flows.cli.usage import refuse_unknown_command, usage_as_refusal

Function = TypeVar("Function", bound=Callable[..., Any])


class _Plain:
    """What commands and groups have in common."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, as help shows them."""
        params = super().get_params(ctx)  # type: ignore[misc]  # of the class that this one is mixed into
        for param in params:
            if isinstance(param, TyperArgument):
                param.display_type_rich = _no_type  # type: ignore[method-assign]
            elif isinstance(param, TyperOption) and param.is_flag:
                param.metavar = ""
        return params

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.strip("{}") for piece in pieces]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; what is wrong with them is refused as anything else is."""
        with usage_as_refusal(ctx):
            read: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return read


class Command(_Plain, TyperCommand):
    """A command with plain help."""


class Group(_Plain, TyperGroup):
    """Commands with plain help."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that was asked for."""
        if not ctx.resilient_parsing:  # which completion asks for
            refuse_unknown_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)


class Commands(typer.Typer):
    """A `typer.Typer` whose commands, and itself, have plain help."""

    def __init__(self, *, cls: type[TyperGroup] = Group, **settings: Any) -> None:
        super().__init__(cls=cls, **settings)

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = Command, **settings: Any
    ) -> Callable[[Function], Function]:
        """As of `typer.Typer`."""
        return super().command(name, cls=cls, **settings)


def _no_type(ctx: Any) -> None:
    """The name of an argument says what it is."""
