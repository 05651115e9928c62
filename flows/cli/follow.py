"""`fedcart runs follow`: watch a run again that somebody stopped watching."""

from flows.cli.output import JsonFlag, RunArgument, print_json


def follow(run: RunArgument, as_json: JsonFlag = False) -> None:
    """Watch a run until it is closed, then print what came of it; a run that is over is printed at once."""
    from fedmodels.identifiers import check_identifier
    from flows.cli.progress import goes_on_without, run_progress
    from flows.cli.train import show_summary
    from flows.following import read_report, rejoin, write_report
    from flows.open_store import open_store
    from infra.settings import load_settings

    home = load_settings().home
    check_identifier("run", run)
    with open_store(home), goes_on_without(run), run_progress(run) as watch:
        summary = rejoin(home, run, watch)
    if not read_report(home, run):
        write_report(home, summary)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)
