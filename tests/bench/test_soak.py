"""The picture of the soak shows both figures that may grow."""

from bench import soak
from bench.soak import plot_samples

SAMPLES = [
    {"round": 1, "memory_mb": {"store": 100.0}, "files": {"store": 20.0}},
    {"round": 2, "memory_mb": {"store": 110.0, "run": 300.0}, "files": {"store": 21.0, "run": 60.0}},
]


def test_memory_and_open_files_are_drawn_by_kind_of_process(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(soak, "plot_lines", lambda *arguments: drawn.update(arguments[-1]))
    plot_samples(tmp_path / "soak.png", "2 rounds", SAMPLES)
    assert drawn == {
        "MB (PSS)": {"run": [(2, 300.0)], "store": [(1, 100.0), (2, 110.0)]},
        "open file descriptors": {"run": [(2, 60.0)], "store": [(1, 20.0), (2, 21.0)]},
    }


def test_a_picture_is_written(tmp_path):
    plot_samples(tmp_path / "soak.png", "2 rounds", SAMPLES)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
