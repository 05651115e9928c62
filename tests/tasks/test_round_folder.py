from tasks.round_folder import open_round_folder


def test_only_the_latest_round_keeps_its_files(tmp_path):
    run = tmp_path / "run"
    (open_round_folder(run, 1) / "trained.safetensors").touch()
    (run / "models").mkdir()
    (run / "models" / "base.safetensors").touch()
    assert open_round_folder(run, 2) == run / "0002"
    assert sorted(path.name for path in run.iterdir()) == ["0002", "models"]


def test_a_second_call_in_a_round_keeps_what_is_there(tmp_path):
    (open_round_folder(tmp_path, 7) / "update.safetensors").touch()
    assert [path.name for path in open_round_folder(tmp_path, 7).iterdir()] == ["update.safetensors"]
