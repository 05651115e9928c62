"""Reports of runs: what only a command measured is found again, and a damaged one is told."""

import pytest

from fedmodels.errors import InputError
from flows.reports import read_report, with_measured, write_report

BASELINES = {"shop-a": {"accuracy": 0.5, "macro_f1": 0.4, "loss": 0.9, "num_examples": 10}, "shop-b": None}


def test_what_was_measured_is_found_again(tmp_path):
    document = {
        "run_id": "r-1",
        "status": "finished",
        "seconds": {"startup": 1.5, "total": 9},
        "peak_pss_mb": 120.5,
        "baselines": BASELINES,
    }
    write_report(tmp_path, document)
    kept = read_report(tmp_path, "r-1")
    assert kept["baselines"] == BASELINES
    bucket = {"run_id": "r-1", "seconds": {"startup": None, "total": 8.0}, "peak_pss_mb": None}
    found = with_measured(bucket, kept)
    assert found["seconds"] == {"startup": 1.5, "total": 9.0}
    assert found["peak_pss_mb"] == 120.5


def test_a_run_that_nobody_measured_keeps_what_the_bucket_says(tmp_path):
    summary = {"run_id": "r-1", "seconds": {"startup": None, "total": 8.0}, "peak_pss_mb": None}
    assert read_report(tmp_path, "r-1") == {}
    assert with_measured(summary, {}) == summary
    write_report(tmp_path, summary)
    assert with_measured(summary, read_report(tmp_path, "r-1")) == summary


@pytest.mark.parametrize("content", ["", "[1]", '{"seconds": 3}', '{"run_id": "r-1", "sec', "\xff"])
def test_a_damaged_report_is_told(tmp_path, content):
    path = write_report(tmp_path, {"run_id": "r-1"})
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError) as caught:
        read_report(tmp_path, "r-1")
    assert caught.value.code == "report-damaged"
