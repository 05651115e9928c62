"""A coordinator that wakes up after another one, on the same machine, has resumed its run."""

from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.state import RunState
from infra.settings import load_role_settings
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.tuning import FILE, Tuned, propose
from tests.tasks.verifying.finished_run import model_bytes, scores


def test_what_it_made_is_not_taken_from_it(run, home, played):
    resumed = CoordinatorRun(played.run, load_role_settings(home, "coordinator"))
    resumed.hold(RunState(plan=played.plan, head=played.head), "")
    tuned = {}
    for conductor, seed in ((run, 5), (resumed, 6)):
        content = model_bytes(seed, 0.1)
        (conductor.round_folder(1) / FILE).write_bytes(content)
        tuned[conductor] = Tuned(
            file=FILE,
            sha256=sha256_hex(content),
            aggregate_sha256=sha256_hex(content),
            metrics=scores(0.7),
            fine_tuning=None,
        )
    standing = propose.fn(resumed, 1, tuned[resumed])
    resumed.round_folder(2)
    assert sha256_hex((run.round_folder(1) / FILE).read_bytes()) == tuned[run].sha256
    assert propose.fn(run, 1, tuned[run]) == standing, "it finds the other one's candidate, and no error"
