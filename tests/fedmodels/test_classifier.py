import json
import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmodels.architecture import pack_architecture, unpack_architecture
from fedmodels.classifier import (
    build_classifier,
    empty_classifier,
    load_tokenizer,
    parameter_specs,
    read_parameters,
    save_architecture,
    save_released_model,
    write_parameters,
)
from fedmodels.errors import HubAway, InputError, IntegrityError
from fedmodels.recipe import ModelConfig

LABELS = ("bad", "good", "mixed")
PRETRAINED = ModelConfig(max_length=16)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def are_equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def build(folder, config=PRETRAINED, labels=LABELS, seed=7):
    return build_classifier(folder, config, labels, seed)


def test_pretrained_weights_are_loaded_and_only_the_head_is_drawn(tiny_folder):
    model, _ = build(tiny_folder)
    stored = load_file(tiny_folder / "model.safetensors")
    body = {
        name.removeprefix("bert."): tensor for name, tensor in model.state_dict().items() if "bert." in name
    }
    assert are_equal(body, stored)
    assert model.classifier.weight.shape == (3, 16)
    assert float(model.classifier.weight.detach().std()) == pytest.approx(0.2, rel=0.4)
    assert not model.classifier.bias.detach().any()


def test_seed_decides_the_head_and_the_callers_randomness_does_not(tiny_folder):
    torch.manual_seed(1)
    first, _ = build(tiny_folder)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    again, _ = build(tiny_folder)
    other, _ = build(tiny_folder, seed=8)
    assert are_equal(weights(first), weights(again))
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    torch.manual_seed(1)
    build(tiny_folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_labels_are_the_classes_in_their_order(tiny_folder):
    config = build(tiny_folder)[0].config
    assert config.id2label == {0: "bad", 1: "good", 2: "mixed"}
    assert config.label2id == {"bad": 0, "good": 1, "mixed": 2}


def test_random_weights_follow_seed_and_overrides(tiny_folder):
    random = ModelConfig(max_length=16, init="random", config={"num_hidden_layers": 1, "hidden_size": 8})
    first, again, other = (build(tiny_folder, random, seed=seed)[0] for seed in (1, 1, 2))
    assert are_equal(weights(first), weights(again))
    assert not are_equal(weights(first), weights(other))
    assert first.config.num_hidden_layers == 1
    assert first.bert.embeddings.word_embeddings.weight.shape == (40, 8)


def test_a_classifier_of_the_same_labels_keeps_its_head_and_one_of_others_does_not(tiny_folder, tmp_path):
    model, tokenizer = build(tiny_folder, seed=3)
    save_released_model(model, tokenizer, tmp_path)
    same, _ = build(tmp_path, seed=4)
    renamed, _ = build(tmp_path, labels=("x", "y", "z"), seed=4)
    fewer, _ = build(tmp_path, labels=("bad", "good"), seed=4)
    assert torch.equal(same.classifier.weight, model.classifier.weight)
    assert not torch.equal(renamed.classifier.weight, model.classifier.weight)
    assert fewer.classifier.weight.shape == (2, 16)


def test_half_precision_weights_are_widened(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "half")
    stored = load_file(tiny_folder / "model.safetensors")
    half = {name: tensor.bfloat16() for name, tensor in stored.items()}
    save_file(half, tmp_path / "half" / "model.safetensors", metadata={"format": "pt"})
    model, _ = build(tmp_path / "half")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}


def test_an_empty_classifier_takes_parameters_and_computes_the_same(tiny_folder, tmp_path):
    model, tokenizer = build(tiny_folder)
    save_architecture(model, tokenizer, tmp_path / "a")
    unpack_architecture(pack_architecture(tmp_path / "a"), tmp_path / "b")
    write_parameters(model, tmp_path / "weights")
    empty = empty_classifier(tmp_path / "b")
    assert parameter_specs(empty) == parameter_specs(model)
    read_parameters(empty, tmp_path / "weights")
    ids = torch.tensor([[2, 5, 6, 3]])
    with torch.inference_mode():
        assert torch.equal(empty(input_ids=ids).logits, model(input_ids=ids).logits)
    assert empty.config.id2label == model.config.id2label
    assert load_tokenizer(tmp_path / "b")("the camera")["input_ids"] == tokenizer("the camera")["input_ids"]


def test_the_architecture_names_no_path_of_this_machine(tiny_folder, tmp_path):
    save_architecture(*build(tiny_folder), tmp_path / "a")
    assert str(tiny_folder.parent).encode() not in pack_architecture(tmp_path / "a")


def test_parameters_are_floating_point_sorted_and_fp32(tiny_folder):
    model, _ = build(tiny_folder)
    model.register_buffer("counter", torch.tensor(3))
    specs = parameter_specs(model)
    assert [spec.name for spec in specs] == sorted(spec.name for spec in specs)
    assert {spec.dtype for spec in specs} == {"F32"}
    assert sum(torch.Size(spec.shape).numel() for spec in specs) == sum(p.numel() for p in model.parameters())
    assert "counter" not in {spec.name for spec in specs}


def test_tied_weights_are_one_parameter(tiny_folder, tmp_path):
    model, _ = build(tiny_folder)
    model.twin = torch.nn.Linear(16, 40, bias=False)
    model.twin.weight = model.bert.embeddings.word_embeddings.weight
    names = [spec.name for spec in parameter_specs(model)]
    assert "bert.embeddings.word_embeddings.weight" in names
    assert "twin.weight" not in names
    write_parameters(model, tmp_path / "weights")
    read_parameters(model, tmp_path / "weights")


def test_equal_parameters_give_equal_bytes(tiny_folder, tmp_path):
    model, _ = build(tiny_folder)
    write_parameters(model, tmp_path / "one")
    read_parameters(model, tmp_path / "one")
    write_parameters(model, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def break_shape(tensors):
    tensors["classifier.bias"] = torch.zeros(4)


def break_dtype(tensors):
    tensors["classifier.bias"] = tensors["classifier.bias"].half()


def drop_one(tensors):
    del tensors["classifier.bias"]


def add_one(tensors):
    tensors["../../etc/passwd"] = torch.zeros(1)


@pytest.mark.parametrize("damage", [break_shape, break_dtype, drop_one, add_one])
def test_other_tensors_are_refused_and_the_model_stays_as_it_was(tiny_folder, tmp_path, damage):
    model, _ = build(tiny_folder)
    before = weights(model)
    tensors = {name: torch.ones_like(tensor) for name, tensor in before.items()}
    damage(tensors)
    save_file(tensors, tmp_path / "weights")
    with pytest.raises(IntegrityError, match=r"1 of \d+ tensors") as caught:
        read_parameters(model, tmp_path / "weights")
    assert caught.value.code == "parameters-schema"
    assert are_equal(weights(model), before)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:100], lambda data: b"x" + data, lambda data: data[:-1]]
)
def test_damaged_parameters_are_refused(tiny_folder, tmp_path, damage):
    model, _ = build(tiny_folder)
    write_parameters(model, tmp_path / "whole")
    (tmp_path / "cut").write_bytes(damage((tmp_path / "whole").read_bytes()))
    with pytest.raises(IntegrityError):
        read_parameters(model, tmp_path / "cut")


def test_a_released_model_loads_by_the_ordinary_call(tiny_folder, tmp_path, capfd):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = build(tiny_folder)
    save_released_model(model, tokenizer, tmp_path)
    assert capfd.readouterr() == ("", "")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert are_equal(weights(loaded), weights(model))
    assert loaded.config.id2label == {0: "bad", 1: "good", 2: "mixed"}
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("love it")["input_ids"] == tokenizer("love it")["input_ids"]
    )


def without(folder, target, *names):
    shutil.copytree(folder, target)
    for name in names:
        (target / name).unlink()
    return target


def test_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        build(tmp_path / "nowhere")


def test_folder_that_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        build(tmp_path)


@pytest.mark.parametrize("source", ["./models/mine", "./mine", "../mine", "a b", "one/two/three", ""])
def test_a_name_that_is_neither_folder_nor_hub_id(source):
    with pytest.raises(InputError, match="neither a folder nor a hub id"):
        build(source)


def test_folder_without_a_tokenizer(tiny_folder, tmp_path):
    bare = without(tiny_folder, tmp_path / "bare", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
    with pytest.raises(InputError, match="no tokenizer"):
        build(bare)


def test_weights_as_a_pickle_are_not_read(tiny_folder, tmp_path):
    pickled = without(tiny_folder, tmp_path / "pickled", "model.safetensors")
    torch.save(load_file(tiny_folder / "model.safetensors"), pickled / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        build(pickled)


def test_damaged_weights(tiny_folder, tmp_path):
    damaged = without(tiny_folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"garbage" * 100)
    with pytest.raises(InputError, match="cannot be loaded"):
        build(damaged)


def test_code_of_the_models_own_is_not_run(tiny_folder, tmp_path):
    own = without(tiny_folder, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (own / "config.json").write_text(json.dumps(config))
    (own / "own.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')")
    with pytest.raises(InputError, match="cannot be loaded"):
        build(own)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"colour": 1}, "has no colour"),
        ({"hidden_size": 9}, "cannot be loaded"),
        ({"hidden_size": "wide"}, "cannot be loaded"),
        ({"vocab_size": 10}, "27 tokens and embeddings for only 10"),
    ],
)
def test_overrides_that_do_not_fit(tiny_folder, overrides, said):
    with pytest.raises(InputError, match=said):
        build(tiny_folder, ModelConfig(max_length=16, init="random", config=overrides))


def test_max_length_beyond_the_models_positions(tiny_folder):
    with pytest.raises(InputError, match="is 33, more than the 32 tokens"):
        build(tiny_folder, ModelConfig(max_length=33))


def test_architecture_without_a_classifier(tiny_folder, tmp_path):
    vision = without(tiny_folder, tmp_path / "vision")
    (vision / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match="cannot be loaded"):
        build(vision)


def test_a_party_learns_no_path_from_a_bad_architecture(tmp_path):
    with pytest.raises(InputError) as caught:
        empty_classifier(tmp_path)
    with pytest.raises(InputError) as also:
        load_tokenizer(tmp_path)
    assert str(tmp_path) not in f"{caught.value} {also.value}"


def test_a_generating_model_gets_its_end_token_for_padding(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<end>": 0, "good": 1, "bad": 2}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(tmp_path)
    shape = {"vocab_size": 8, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 1}
    GPT2Model(GPT2Config(**shape, bos_token_id=0, eos_token_id=0)).save_pretrained(tmp_path)
    model, tokenizer = build(tmp_path)
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    batch = tokenizer(["good", "bad bad good"], padding=True, return_tensors="pt")
    assert model(**batch).logits.shape == (2, 3)


def test_a_hub_id_that_cannot_be_reached(monkeypatch, capfd):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubAway, match="and the model nobody/no-such-model was not fetched before") as caught:
        build("nobody/no-such-model")
    assert (caught.value.code, caught.value.exit_status) == ("hub-unreachable", 75)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("status", "kind"), [(503, HubAway), (429, HubAway), (404, InputError), (403, InputError)]
)
def test_an_answer_of_the_hub_that_passes_and_one_that_stays(monkeypatch, status, kind):
    from huggingface_hub.errors import HfHubHTTPError

    def answered(*_arguments, **_options):
        answer = HfHubHTTPError("no", response=SimpleNamespace(status_code=status, headers={}, request=None))
        raise OSError("There was a specific connection error") from answer

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", answered)
    with pytest.raises(kind):
        build("nobody/no-such-model")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_files_of_a_released_model_have_the_mode_that_new_files_have(tiny_folder, tmp_path, mask, mode):
    model, tokenizer = build(tiny_folder)
    before = os.umask(mask)
    try:
        save_released_model(model, tokenizer, tmp_path / "kept")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "kept").iterdir()}
    assert "model.safetensors" in modes
    assert set(modes.values()) == {mode}
