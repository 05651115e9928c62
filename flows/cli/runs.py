"""`fedcart runs`: what the bucket knows of past and present runs."""

from flows.cli import cancel, report, sweep, verify
from flows.cli.follow import kept_report
from flows.cli.output import JsonFlag, RunArgument, print_json, print_sentence, print_table
from flows.cli.plain_help import Commands

app = Commands(
    name="runs",
    help="Look at runs, verify, cancel and sweep them; starts the store alone when it is down.",
    no_args_is_help=True,
)


@app.command("list")
def list_runs(as_json: JsonFlag = False) -> None:
    """All runs in the bucket, oldest first.

    A run that is *not opened* has no plan or no HEAD: its coordinator is about to write them, or ended
    before. Of one that is *damaged* fedcart runs verify says what is wrong.
    """
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.reading import list_row, runs_by_time

    with open_named_store(load_settings()) as store:
        runs = [list_row(store, run) for run in runs_by_time(store)]
    if as_json:
        print_json(runs)
        return
    columns = [
        ("run", "left"),
        ("recipe", "left"),
        ("status", "left"),
        ("rounds", "right"),
        ("holdout accuracy", "right"),
    ]
    rows = []
    for run in runs:
        accuracy = f"{run['final']['accuracy']:.3f}" if run["final"] else None
        rows.append((run["run_id"], run["recipe"], run["status"], run["rounds"], accuracy))
    print_table("Runs", columns, rows)


@app.command("show")
def show(run: RunArgument, as_json: JsonFlag = False) -> None:
    """One run: its rounds, its parties, what the gate and fine-tuning did, and the kept model."""
    from fedmodels.identifiers import check_identifier
    from fedmodels.protocol.dropping import dropped_in_words
    from fedmodels.protocol.messages import FineTuningResult
    from flows.cli.train import show_summary
    from flows.open_store import open_named_store
    from flows.reports import with_measured
    from infra.settings import load_settings
    from tasks.reading import read_summary
    from tasks.release.pruned import is_pruned

    settings = load_settings()
    with open_named_store(settings) as store:
        summary = read_summary(store, check_identifier("run", run))
        pruned = summary["status"] != "open" and is_pruned(store, summary["model_sha256"])
    summary = with_measured(summary, kept_report(settings.home, run))
    if as_json:
        print_json({**summary, "pruned": True} if pruned else summary)
        return
    show_summary(summary)
    if pruned:
        print_sentence("Its kept model was pruned.")
    for row in summary["rounds"]:
        for reason in row["gate"]["reasons"]:
            print_sentence(f"round {row['round']}: {reason}")
        if row["dropped"]:
            print_sentence(f"round {row['round']}: {dropped_in_words(row['dropped'])}")
        if row["fine_tuning"]:
            tuned = FineTuningResult.model_validate(row["fine_tuning"])
            print_sentence(f"round {row['round']}: {tuned.in_words()}")


app.command("report")(report.report)
app.command("verify")(verify.verify)
app.command("cancel")(cancel.cancel)
app.command("sweep")(sweep.sweep)
