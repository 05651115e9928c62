"""Help that reads like a manual page: an argument is `RUN` in the usage line, and a flag has no type.

typer writes `{RUN}` there, `<str>` beside an argument that has a name and `<bool>` beside a flag, and has no
setting for it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

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


class Command(_Plain, TyperCommand):
    """A command with plain help."""


class Group(_Plain, TyperGroup):
    """Commands with plain help."""


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
