"""--change of commit and import."""

from __future__ import annotations

import pytest

from minidock.core.config import ContainerConfig
from minidock.core.dockerfile.config_changes import with_changes
from minidock.errors import InvalidRequest

BEFORE = ContainerConfig(
    env=("A=old", "P=/bin"), cmd=("sh",), entrypoint=("/start",), working_dir="/w", labels={"a": "1"}, volumes=("/v",)
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], {}),
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (['ENTRYPOINT ["e"]'], {"Entrypoint": ["e"], "Cmd": None}),
        (['CMD ["c"]', 'ENTRYPOINT ["e"]'], {"Entrypoint": ["e"], "Cmd": ["c"]}),
        (["ENV A=new B=2"], {"Env": ["A=new", "P=/bin", "B=2"]}),
        (["ENV P=$P:/x", "ENV Q=$P"], {"Env": ["A=old", "P=/bin:/x", "Q=/bin:/x"]}),
        (["LABEL b=2 c=3"], {"Labels": {"a": "1", "b": "2", "c": "3"}}),
        (["WORKDIR sub", "WORKDIR dir"], {"WorkingDir": "/w/sub/dir"}),
        (["EXPOSE 80 53/udp"], {"ExposedPorts": {"53/udp": {}, "80/tcp": {}}}),
        (["VOLUME /x"], {"Volumes": {"/v": {}, "/x": {}}}),
        (["USER me\nSTOPSIGNAL SIGUSR1"], {"User": "me", "StopSignal": "SIGUSR1"}),
        (["ONBUILD RUN x", "HEALTHCHECK NONE"], {"OnBuild": ["RUN x"], "Healthcheck": {"Test": ["NONE"]}}),
    ],
)  # fmt: skip
def test_instructions_change_the_config(changes: list[str], expected: dict[str, object]) -> None:
    wanted = {**BEFORE.to_json(), **expected}
    found = with_changes(BEFORE, changes).to_json()
    assert found == {name: value for name, value in wanted.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["RUN x"], "run is not a valid change command"),
        (["ENV a=b", "COPY a b"], "copy is not a valid change command"),
        (["FROM x"], "from is not a valid change command"),
        (["SHELL [\"a\"]"], "shell is not a valid change command"),
        (["FOO x"], "foo is not a valid change command"),
        ([""], "file with no instructions"),
        (["# only this"], "file with no instructions"),
        (["ENV a"], "ENV must have two arguments"),
    ],
)  # fmt: skip
def test_what_is_no_change_is_refused(changes: list[str], problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        with_changes(BEFORE, changes)
    assert str(caught.value) == problem
