"""Whatever is wrong with YAML that a person wrote is one kind of fault, and holds none of it."""

import pytest

from fedmodels.yaml_text import YamlFault, read_yaml

FIRST = "a: 1\n"


def written(folder, text):
    path = folder / "some.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("b: 2026-02-30", "timestamp"),
        ("b: [2026-01-01T25:00:00]", "timestamp"),
        ("b: 2026-01-01T00:00:00+99:99", "timestamp"),
        ("b: !!timestamp secret", "timestamp"),
        ("b: !!float secret", "float"),
        ("b: !!int secret", "int"),
        ("b: !!int ''", "int"),
        ("b: {c: !!bool secret}", "bool"),
        ("!!float secret: b", "float"),
    ],
)
def test_a_value_that_is_none_of_its_type_is_a_fault_with_its_line(tmp_path, text, kind):
    with pytest.raises(YamlFault) as caught:
        read_yaml(written(tmp_path, FIRST + text))
    assert str(caught.value) == f"not valid YAML in line 2: there is no such {kind}"
    assert caught.value.fix == "put the value in quotes if it is text"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b: [", " in line 2"),
        ("b: !!python/object:os.system {}", " in line 2"),
        ("b: " + 5000 * "[", ": it is nested too deeply"),
        (b"b: caf\xe9", ": it is not UTF-8 text"),
    ],
)
def test_other_faults(tmp_path, text, said):
    with pytest.raises(YamlFault) as caught:
        read_yaml(written(tmp_path, (FIRST.encode() if isinstance(text, bytes) else FIRST) + text))
    assert str(caught.value) == f"not valid YAML{said}"


@pytest.mark.parametrize("text", ["b: 1\na: secret", "c:\n  b: 2\n  b: secret", "a: {b: 1}\nb: 1\nb: 2"])
def test_a_key_that_stands_twice_is_told_with_both_lines(tmp_path, text):
    with pytest.raises(YamlFault) as caught:
        read_yaml(written(tmp_path, text if text.startswith("a") else FIRST + text))
    first = {"b": 1, "c": 3, "a": 2}[text[0]]
    assert (
        str(caught.value)
        == f"not valid YAML in line {max(3, first + 1)}: its key stands in line {first} already"
    )
    assert caught.value.fix == "leave one of the two out"


def test_values_keep_their_types_and_mappings_may_be_merged(tmp_path):
    text = "base: &base {x: 1, y: 1.5}\nmore: {<<: *base, y: 'no'}\n"
    assert read_yaml(written(tmp_path, text)) == {"base": {"x": 1, "y": 1.5}, "more": {"x": 1, "y": "no"}}
