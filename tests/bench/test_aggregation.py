"""The benchmark runs, answers with the figures it promises, and measures methods that agree."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.aggregation import METHODS, schema_of, write_inputs
from bench.aggregation_methods import in_memory, limit, main
from bench.report import emit, plot_bars, run_watched, summarise
from fedmodels.parameters.safetensors_file import encode_header, num_elements


def test_it_prints_one_document_with_every_method():
    command = [sys.executable, "-m", "bench.aggregation", "--json", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--parties", "3", "--parameters", "300000"], capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    assert document["parties"] == 3
    assert set(document["results"]) == set(METHODS)
    for figures in document["results"].values():
        assert set(figures) == {"cpu_seconds", "wall_seconds", "peak_above_start_mb"}
    assert document["environment"]["cores"] > 0


def test_the_schema_is_about_as_large_as_asked():
    assert num_elements(schema_of(109_482_240)) == pytest.approx(109_482_240, rel=0.002)


def test_limit_memory_and_fedcart_write_the_same_model(tmp_path, monkeypatch, capsys):
    schema = schema_of(300_000)
    write_inputs(tmp_path, schema, 3)
    deltas = sorted(tmp_path.glob("party-*.F32"))
    limit(tmp_path, deltas, hashed=True)
    plain = np.fromfile(tmp_path / "out", np.float32)
    in_memory(tmp_path, deltas)
    assert np.allclose(plain, np.fromfile(tmp_path / "out", np.float32), atol=1e-5)
    monkeypatch.setattr(sys, "argv", ["methods", "fedcart", str(tmp_path)])
    main()
    ours = np.fromfile(tmp_path / "out", np.float32, offset=len(encode_header(schema)))
    assert np.allclose(plain, ours, atol=1e-5)
    assert set(json.loads(capsys.readouterr().out)) == {"cpu_seconds", "wall_seconds", "start_pss_mb"}


def test_a_child_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="no such luck"):
        run_watched([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_the_memory_of_a_child_is_seen():
    held = "b = bytearray(200_000_000); b[::4096] = b'x' * len(b[::4096])"
    code = f"import time; {held}; time.sleep(0.5); print('{{}}')"
    assert run_watched([sys.executable, "-c", code])["peak_pss_mb"] > 200


def test_medians_tables_and_plots(tmp_path, capsys):
    assert summarise([{"s": 1.0}, {"s": 9.0}, {"s": 2.0}]) == {"s": 2.0}
    emit({}, as_json=False, table=[["method", "s"], ["limit", "0.6"]])
    assert capsys.readouterr().out == "method  s\nlimit   0.6\n"
    plot_bars(tmp_path / "plot.png", "Memory", "MB", {"ours": 17.0, "theirs": 4400.0})
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
