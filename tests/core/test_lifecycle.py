from __future__ import annotations

import json

import pytest

from minidock.core.health import HealthCheck
from minidock.core.lifecycle import LifeCycle, RestartMode, RestartPolicy
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", RestartPolicy()),
        ("no", RestartPolicy()),
        ("always", RestartPolicy(RestartMode.ALWAYS)),
        ("unless-stopped", RestartPolicy(RestartMode.UNLESS_STOPPED)),
        ("on-failure", RestartPolicy(RestartMode.ON_FAILURE)),
        ("on-failure:3", RestartPolicy(RestartMode.ON_FAILURE, 3)),
        ("always:0", RestartPolicy(RestartMode.ALWAYS)),
    ],
)
def test_policies_as_docker_writes_them(text: str, policy: RestartPolicy) -> None:
    assert RestartPolicy.parse(text) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":3", "invalid restart policy format: no policy provided before colon"),
        ("on-failure:x", "invalid restart policy format: maximum retry count must be an integer"),
        ("on-failure:", "invalid restart policy format: maximum retry count must be an integer"),
        (
            "sometimes",
            "invalid restart policy: unknown policy 'sometimes'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        ("always:3", "invalid restart policy: maximum retry count can only be used with 'on-failure'"),
        ("on-failure:-1", "invalid restart policy: maximum retry count cannot be negative"),
    ],
)
def test_other_policies_are_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        RestartPolicy.parse(text)
    assert str(caught.value) == message


def test_what_is_written_is_read_again() -> None:
    life = LifeCycle(
        restart=RestartPolicy(RestartMode.ON_FAILURE, 2),
        stop_seconds=-1,
        has_init=True,
        attached=("stdin",),
        health=HealthCheck(("CMD", "x"), retries=2),
        health_shell=("/bin/bash", "-c"),
        annotations={"a": "b"},
        log_driver="none",
        cid_file="/cid",
        is_made_only=True,
    )
    assert LifeCycle.from_json(json.loads(json.dumps(life.to_json()))) == life
    assert LifeCycle.from_json(LifeCycle().to_json()) == LifeCycle()
