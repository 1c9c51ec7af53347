"""Go's templates as docker's users write them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from minidock.core.templates.template import Template
from minidock.errors import TemplateError

DATA = {
    "Id": "sha256:0123456789abcdef",
    "State": {"Status": "running", "Pid": 7, "Running": True},
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"b": "2", "a": "1"}, "Entrypoint": None, "Volumes": None, "Cmd": []},
    "Mounts": [{"Type": "bind", "Destination": "/x"}, {"Type": "volume", "Destination": "/y"}],
    "Size": 2.5,
}


def _samples() -> list[Any]:
    vectors = os.environ.get("MINIDOCK_VECTORS")
    folder = Path(vectors).parent / "cli/samples" if vectors else None
    if folder is None or not (folder / "format-vectors.json").exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason="MINIDOCK_VECTORS has no samples beside it"))]
    rows = json.loads((folder / "format-vectors.json").read_text())["rows"]
    return [pytest.param({**row, "folder": folder}, id=f"{row['template']}") for row in rows]


def _loaded(path: Path) -> Any:
    text = path.read_text()
    data = json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
    return data[0] if isinstance(data, list) else data


@pytest.mark.parametrize("row", _samples())
def test_go_and_docker_give_the_same(row: dict[str, Any]) -> None:
    data = _loaded(row["folder"] / row["data"])
    if "error" in row or "parse_error" in row:
        with pytest.raises(TemplateError):
            Template.parse(row["template"]).fill(data)
        return
    assert Template.parse(row["template"]).fill(data) == row.get("docker", row["out"])


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.State.Status}} {{ .State.Pid }}", "running 7"),
        ("{{.Config.Env}}{{.Config.Labels}}", "[A=1 B=2]map[a:1 b:2]"),
        ("{{.Config.Entrypoint}}{{.Config.Volumes}}{{.Size}}", "[]map[]2.5"),
        ("{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$e}}{{end}}", "A=1, B=2"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}{{$v}}{{end}}", "a1b2"),
        ("{{with .State}}{{.Pid}}{{end}} {{$.Size}}", "7 2.5"),
        ("{{if and .State.Running (eq .State.Pid 6 7)}}yes{{else if true}}no{{end}}", "yes"),
        ('{{index .Config.Labels "a"}}{{index .Config.Labels "z"}}{{(index .Mounts 1).Type}}', "1volume"),
        ('{{join .Config.Env "+"}} {{upper "a"}} {{slice .Id 7 10}} {{truncate .Id 6}}', "A=1+B=2 A 012 sha256"),
        ('{{printf "%-4d|%5.2f|%q|%x|%%" .State.Pid .Size "a" 255}}', '7   | 2.50|"a"|ff|%'),
        ("{{$x := .State}}{{$x.Pid}}{{$y := len .Mounts}}{{$y}}", "72"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("{{json .Config.Labels}}{{json .State}}", '{"a":"1","b":"2"}{"Status":"running","Pid":7,"Running":true}'),
    ],
)
def test_templates_are_filled(template: str, text: str) -> None:
    assert Template.parse(template).fill(DATA) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{.No}}", 'template: :1:2: executing "" at <.No>: map has no entry for key "No"'),
        ("{{.Id.No}}", 'template: :1:5: executing "" at <.Id.No>: can\'t evaluate field No in type interface {}'),
        (
            "{{index .Mounts 5}}",
            'template: :1:2: executing "" at <index .Mounts 5>: error calling index: index out of range: 5',
        ),
        ("{{if .Id}}x", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{}}", "template: :1: missing value for command"),
        (
            "{{eq .Id 1}}",
            'template: :1:2: executing "" at <eq .Id 1>: error calling eq: incompatible types for comparison',
        ),
    ],
)
def test_mistakes_are_told_in_gos_words(template: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(template).fill(DATA)
    assert str(caught.value) == f"template parsing error: {problem}"
