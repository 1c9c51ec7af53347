"""Values of `build --secret` and `build --ssh`."""

from __future__ import annotations

from typing import Any

import pytest

from minidock.core.build_options import AgentOption, SecretOption
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
