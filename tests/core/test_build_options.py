"""Values of `build --secret` and `build --ssh`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minidock.core.build_options import (
    AgentOption,
    Annotation,
    CacheOption,
    ContextOption,
    Output,
    SecretOption,
    parse_annotations,
    parse_hosts,
)
from minidock.core.platform import Platform
from minidock.errors import InvalidRequest
from tests import vectors


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="secret"))
def test_upstreams_secrets_are_read(case: dict[str, Any]) -> None:
    (text,) = [case["input"]] if isinstance(case["input"], str) else case["input"]
    if "error" in case:
        with pytest.raises(InvalidRequest) as caught:
            SecretOption.parse(text)
        assert str(caught.value) == case["error"]
        return
    (expected,) = case["result"]
    option = SecretOption.parse(text)
    assert (option.id, option.source, option.env) == (expected["id"], expected.get("src", ""), expected.get("env", ""))


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="ssh"))
def test_upstreams_agents_are_read(case: dict[str, Any]) -> None:
    (expected,) = case["result"]
    assert AgentOption.parse(case["input"][0]) == AgentOption(expected["id"], tuple(expected.get("paths", ())))


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("id=a,src=/f", SecretOption("a", "/f")),
        ("id=a,env=A", SecretOption("a", env="A")),
        ("id=a,type=env,src=A", SecretOption("a", env="A")),
        ("id=a", SecretOption("a")),
        ('"id=a,b",source=x', SecretOption("a,b", "x")),
    ],
)
def test_a_secret_is_a_file_or_a_variable(text: str, option: SecretOption) -> None:
    assert SecretOption.parse(text) == option


@pytest.mark.parametrize(
    ("text", "problem"),
    [("id", "invalid field 'id' must be a key=value pair"), ("id=a,x=b", "unexpected key 'x' in 'x=b'")],
)
def test_other_words_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        SecretOption.parse(text)
    assert str(caught.value) == problem


def test_an_agent_without_paths_is_the_callers_own() -> None:
    assert AgentOption.parse("default") == AgentOption("default", ())
    assert AgentOption.parse("x=a,b") == AgentOption("x", ("a", "b"))


HOST = Platform("linux", "amd64")


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="output"))
def test_upstreams_outputs_are_read(case: dict[str, Any]) -> None:
    if "error" in case:
        assert _problem(Output.parse, case["input"]) == case["error"]
        return
    expected = case["result"]
    assert Output.parse(case["input"]) == Output(expected["type"], expected.get("dest", ""), expected.get("attrs", {}))


@pytest.mark.parametrize("flag", ["cache-from", "cache-to"])
def test_upstreams_caches_are_read(flag: str) -> None:
    for case in vectors.load("build-flags")["cases"]:
        if case["flag"] == flag:
            (text,) = [case["input"]] if isinstance(case["input"], str) else case["input"]
            expected = case["result"][0] if isinstance(case["result"], list) else case["result"]
            assert CacheOption.parse(text) == CacheOption(expected["type"], expected["attrs"])


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="build-context"))
def test_upstreams_contexts_are_read(case: dict[str, Any]) -> None:
    if "result" in case:
        ((name, value),) = case["result"].items()
        assert ContextOption.parse(case["input"]) == ContextOption(name, value)
    else:
        assert case.get("error", case.get("error_contains")) in _problem(ContextOption.parse, case["input"])


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="add-host"))
def test_upstreams_hosts_are_read(case: dict[str, Any]) -> None:
    (text,) = case["input"]
    if "result" in case:
        assert ",".join(f"{name}={address}" for name, address in parse_hosts(text)) == case["result"]
    else:
        assert case["error_contains"] in _problem(parse_hosts, text)


@pytest.mark.parametrize("case", vectors.params("build-flags", flag="annotation"))
def test_upstreams_annotations_are_read(case: dict[str, Any]) -> None:
    (text,) = case["input"]
    expected = [
        Annotation(item["key"], item["value"], item["type"], item["platform"] and Platform(**item["platform"]))
        for item in case["result_pairs"]
    ]
    assert list(parse_annotations(text, HOST)) == expected


@pytest.mark.parametrize("text", ["a", "nothing:a=b", "=b"])
def test_other_annotations_are_refused(text: str) -> None:
    assert "annotation" in _problem(lambda given: parse_annotations(given, HOST), text)


def test_a_dash_is_a_tar_on_stdout_and_several_hosts_stand_in_one_list() -> None:
    assert Output.parse("-") == Output("tar", "-")
    assert parse_hosts("a=1.2.3.4,::1,b:host-gateway") == (("a", "1.2.3.4"), ("a", "::1"), ("b", "127.0.0.1"))


def _problem(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    return str(caught.value)
