"""JSON and YAML of strangers: read, or refused in one short line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json, read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 4000 + "}",
        '{"a": ' + "9" * 5000 + ".5}",
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        "[" * 100_000,
        "[" * 60 + "]" * 60,
        "\udcff",
    ],
)
def test_damaged_json_is_one_short_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="damaged, not JSON") as caught:
        read_json(path, "results")
    assert len(str(caught.value)) < 300 + len(str(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!python/name:os.system",
        "a: !!binary aGVsbG8=",
        "a: !!set {x, y}",
        "a: 2020-01-01",
        "a: &x [1]\nb: *x",
        "a: .nan",
        "1: a",
        "a: " + "9" * 4000,
        "? [a, b]\n: c",
        "a: \x00",
        "&x [*x]",
        "[" * 5000,
        "a: b: c",
        "\ta: 1",
    ],
)
def test_damaged_or_foreign_yaml_is_one_short_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="damaged") as caught:
        read_yaml(path, "settings")
    assert len(str(caught.value)) < 300 + len(str(path))
    assert str(caught.value).isprintable()


def test_aliases_that_double_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 64))]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    start = time.monotonic()
    with pytest.raises(UserError, match="an alias"):
        read_yaml(tmp_path / "config.yaml", "settings")
    assert time.monotonic() - start < 2


def test_what_a_run_writes_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1.0e-05\nb: 1e-4\nc: null\nd: [1, x, true]\ne: {}\nf: '1e-4'\ng: ${h}\n")
    assert read_yaml(tmp_path / "config.yaml", "settings") == {
        "a": 1e-5,
        "b": 1e-4,
        "c": None,
        "d": [1, "x", True],
        "e": {},
        "f": "1e-4",
        "g": "${h}",
    }
