"""The command line. Every command imports what it needs when it runs, so that `-h` answers at once."""

import signal
import sys
from types import FrameType
from typing import Any

import typer

from fedmodels.errors import FedcartError
from flows.cli import (
    data,
    demo,
    deploy,
    doctor,
    drift,
    follow,
    forget,
    predict,
    release,
    reproduce,
    runs,
    stack,
    train,
    versions,
)
from flows.cli.output import INTERRUPTED, explain, explain_interruption, refusal_of
from flows.cli.plain_help import Commands, Group
from flows.cli.unforeseen import UNFORESEEN, unforeseen
from flows.cli.usage import usage_as_refusal
from infra.loopback import spare_loopback


class Fedcart(Group):
    """Tells people and programs of wrong usage and of an interruption, of which typer would say nothing."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command that was asked for."""
        try:
            with usage_as_refusal(ctx):
                return super().invoke(ctx)
        except KeyboardInterrupt:
            explain_interruption("The command was interrupted.", as_json="--json" in sys.argv)
            raise typer.Exit(INTERRUPTED) from None


app = Commands(
    name="fedcart",
    cls=Fedcart,
    help="Train one language model across e-commerce platforms that may not share their data.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("deploy")(deploy.deploy)
app.command("status")(stack.status)
app.command("doctor")(doctor.doctor)
app.command("train")(train.train)
app.command("reproduce")(reproduce.reproduce)
app.command("forget")(forget.forget)
app.command("evaluate")(predict.evaluate)
app.command("predict")(predict.predict)
app.add_typer(data.app, name="data")
data.app.command("pin")(versions.pin)
data.app.command("versions")(versions.versions)
data.app.command("checkout")(versions.checkout)
app.add_typer(runs.app, name="runs")
app.add_typer(drift.app, name="drift")
app.add_typer(release.app, name="release")
runs.app.command("follow")(follow.follow)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Being terminated is like Ctrl-C: what a command started is stopped on the way out."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line: a refusal is one sentence and a non-zero status, never a stack trace.

    So is an exception that nobody foresaw, whose trace goes into a file.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    spare_loopback()
    try:
        app()
    except FedcartError as error:
        explain(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_status)
    except OSError as error:
        refusal = refusal_of(error)
        explain(refusal, as_json="--json" in sys.argv)
        sys.exit(refusal.exit_status)
    except Exception as error:  # noqa: BLE001 (the last resort: a fault of fedcart's own is kept, and told)
        fault, trace = unforeseen(error)
        sys.stderr.write(trace)
        explain(fault, as_json="--json" in sys.argv)
        sys.exit(UNFORESEEN)
