"""RUN --mount with real processes: what a step sees, what its key depends on, and that nothing of it stays behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.engine import prune
from minidock.engine.disk_usage import disk_usage
from minidock.engine.secrets import Agent, Secrets
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import BuildError, DockerfileError, StepFailed
from minidock.runtime.base import Isolation
from minidock.runtime.native import NativeRuntime
from tests.engine.building import content_of, import_base, open_store, run_build, top_layer, write_context
from tests.engine.machine_image import machine_tar


@pytest.fixture(scope="module")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    found = NativeRuntime().probe(str(tmp_path_factory.mktemp("probe")))
    if found.isolation is not Isolation.NAMESPACES:
        pytest.skip("nothing can be mounted without namespaces")
    return machine_tar()


@pytest.fixture
def ws(base_image: bytes, tmp_path: Path) -> Workspace:
    made = Workspace(open_store(tmp_path / "store"), SystemClock(), NativeRuntime)
    import_base(made, base_image)
    return made


def context(tmp_path: Path, text: str, files: dict[str, str] | None = None) -> Path:
    return write_context(tmp_path / "context", {"Dockerfile": text, **(files or {})})


def test_a_bind_shows_the_context_without_what_is_ignored_and_leaves_no_trace(ws: Workspace, tmp_path: Path) -> None:
    text = (
        "FROM base:1\nRUN --mount=target=/src,rw cat /src/sub/a >/seen && ls /src >>/seen && echo x >/src/sub/a && "
        "stat -c '%u:%g %a' /src/sub/a >>/seen\n"
    )
    files = {"sub/a": "content\n", "secret": "s", ".dockerignore": "secret\nDockerfile\n.dockerignore\n"}
    place = context(tmp_path, text, files)
    os.chmod(place / "sub/a", 0o640)
    built = run_build(ws, place)
    assert content_of(ws, built.image_id, "seen") == b"content\nsub\n0:0 640\n"
    assert top_layer(ws, built.image_id) == {"": "dir 755 0:0", "seen": "file 644 0:0 20"}
    assert (place / "sub/a").read_text() == "content\n"
    (place / "secret").write_text("other")
    assert run_build(ws, place).outcomes[-1].startswith("CACHED")
    (place / "sub/a").write_text("changed\n")
    assert run_build(ws, place).reasons == ["1 of 1 file changed: sub/a (content)"]


def test_a_bind_of_a_stage_shows_its_layers_and_follows_their_content_only(ws: Workspace, tmp_path: Path) -> None:
    def dockerfile(comment: str, content: str) -> str:
        return (
            f"FROM base:1 AS made\nRUN mkdir /out && echo {content} >/out/file && echo {comment} >/other\n"
            "FROM base:1\nRUN --mount=from=made,source=/out,target=/in cat /in/file >/copy; echo x >/in/no || true\n"
        )

    built = run_build(ws, context(tmp_path, dockerfile("one", "hello")))
    assert content_of(ws, built.image_id, "copy") == b"hello\n"
    again = run_build(ws, context(tmp_path, dockerfile("two", "hello")))
    assert (again.image_id, again.outcomes[-1].split()[0]) == (built.image_id, "CACHED")
    other = run_build(ws, context(tmp_path, dockerfile("two", "bye")))
    assert content_of(ws, other.image_id, "copy") == b"bye\n"


def test_a_whole_image_can_be_mounted(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM scratch AS empty\nFROM base:1\nRUN --mount=from=base:1,target=/mnt/base ls /mnt/base >/list\n"
    built = run_build(ws, context(tmp_path, text))
    assert b"bin\n" in content_of(ws, built.image_id, "list")


def test_a_later_stage_cannot_be_mounted(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1 AS a\nRUN --mount=from=b,target=/t true\nFROM base:1 AS b\nFROM a\n"
    with pytest.raises(DockerfileError) as caught:
        run_build(ws, context(tmp_path, text))
    reason = 'cannot mount from stage "b" to "/t", stage needs to be defined before current command'
    assert (str(caught.value), caught.value.first) == (reason, 2)


def test_a_cache_outlives_the_build_is_counted_and_can_be_pruned(ws: Workspace, tmp_path: Path) -> None:
    script = "echo $N >>/cache/log; cat /cache/log >/log"
    text = f"FROM base:1\nARG N\nRUN --mount=type=cache,target=/cache,mode=0700 {script}\n"
    place = context(tmp_path, text)
    assert content_of(ws, run_build(ws, place, build_args={"N": "1"}).image_id, "log") == b"1\n"
    built = run_build(ws, place, build_args={"N": "2"})
    assert content_of(ws, built.image_id, "log") == b"1\n2\n"
    assert "cache" not in top_layer(ws, built.image_id)
    (mount,) = ws.store.cache_mounts.list()
    assert (mount.name, mount.is_in_use, os.stat(ws.store.cache_mounts.data(mount)).st_mode & 0o7777) == (
        "//cache",
        False,
        0o700,
    )
    (row,) = (row for row in disk_usage(ws).cache if row.kind == "exec.cachemount")
    assert (row.id, row.size, row.is_in_use) == (mount.key, 4, False)
    fresh = run_build(ws, place, build_args={"N": "3"}, uses_cache=False)
    assert content_of(ws, fresh.image_id, "log") == b"3\n"
    assert mount.key in prune.prune_cache(ws, is_all=False).records
    assert ws.store.cache_mounts.list() == ()


@pytest.mark.parametrize("name", ["../../../escaped", "/etc", "..", "a/../../b"])
def test_the_id_of_a_cache_is_no_path(ws: Workspace, tmp_path: Path, name: str) -> None:
    run_build(ws, context(tmp_path, f"FROM base:1\nRUN --mount=type=cache,id={name},target=/cache echo x >/cache/f\n"))
    (mount,) = ws.store.cache_mounts.list()
    place = Path(ws.store.cache_mounts.data(mount))
    assert (place / "f").read_text() == "x\n"
    assert place.resolve() == place and place.is_relative_to(ws.store.layout.root)


def test_the_source_of_a_mount_leads_nowhere_outside_of_the_context(ws: Workspace, tmp_path: Path) -> None:
    write_context(tmp_path / "outside", {"f": "outside"})
    place = context(tmp_path, "FROM base:1\nRUN --mount=source=door,target=/src cat /src/f\n")
    for target in (f"{tmp_path}/outside", "../outside"):
        (place / "door").symlink_to(target)
        with pytest.raises(BuildError):
            run_build(ws, place)
        (place / "door").unlink()
        (place / "door").mkdir()
        (place / "door/f").symlink_to(f"{target}/f")
        with pytest.raises(BuildError):
            run_build(ws, place)
        (place / "door/f").unlink()
        (place / "door").rmdir()


def test_a_cache_can_begin_with_the_content_of_a_stage(ws: Workspace, tmp_path: Path) -> None:
    text = (
        "FROM base:1 AS seed\nRUN mkdir /s && echo seed >/s/file\nFROM base:1\n"
        "RUN --mount=type=cache,from=seed,source=/s,target=/c cat /c/file >/got\n"
    )
    assert content_of(ws, run_build(ws, context(tmp_path, text)).image_id, "got") == b"seed\n"


def test_a_tmpfs_is_empty_and_gone_afterwards(ws: Workspace, tmp_path: Path) -> None:
    text = (
        "FROM base:1\nRUN mkdir /t && echo x >/t/hidden\n"
        "RUN --mount=type=tmpfs,target=/t,size=1m ls /t >/list && echo y >/t/gone\n"
    )
    built = run_build(ws, context(tmp_path, text))
    assert content_of(ws, built.image_id, "list") == b""
    assert sorted(top_layer(ws, built.image_id)) == ["", "list"]


SECRET = "tOp-secret-value"


def everything_in(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def test_secrets_are_seen_by_the_step_and_by_nobody_else(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    text = (
        "FROM base:1\nRUN --mount=type=secret,id=token --mount=type=secret,id=other,env=OTHER,target=/o "
        'cat /run/secrets/token; echo "$OTHER"; cat /o; echo; stat -c %a /run/secrets/token\n'
    )
    secrets = Secrets({"token": str(tmp_path / "token")}, {"other": b"anOther-hidden"})
    built = run_build(ws, context(tmp_path, text), secrets=secrets)
    shown = [event.line for event in built.events if hasattr(event, "line")]
    assert shown[-4:] == ["****", "****", "****", "400"]
    assert SECRET.encode() not in everything_in(tmp_path / "store")
    assert b"anOther-hidden" not in everything_in(tmp_path / "store")
    assert SECRET not in repr(built.events)
    (tmp_path / "token").write_text("changed\n")
    assert run_build(ws, tmp_path / "context", secrets=secrets).outcomes[-1].startswith("CACHED")


def test_a_missing_secret_stops_the_step_only_if_it_is_required(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1\nRUN --mount=type=secret,id=none ls /run/secrets || echo nothing >/none\n"
    built = run_build(ws, context(tmp_path, text))
    assert content_of(ws, built.image_id, "none") == b"nothing\n"
    with pytest.raises(DockerfileError, match="secret none: not found") as caught:
        run_build(ws, context(tmp_path, "FROM base:1\nRUN --mount=type=secret,id=none,required true\n"))
    assert caught.value.first == 2


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An agent that answers every request with what it was asked, in capitals."""
    path = str(tmp_path / "agent.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(100):
                    client.sendall(data.upper())

    threading.Thread(target=serve, daemon=True).start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_an_agent_is_lent_for_the_time_of_the_step(ws: Workspace, tmp_path: Path, agent: str) -> None:
    script = "stat -c '%F %a' $SSH_AUTH_SOCK >/what; echo $SSH_AUTH_SOCK >>/what"
    text = f"FROM base:1\nRUN --mount=type=ssh,mode=0666 {script}\n"
    built = run_build(ws, context(tmp_path, text), secrets=Secrets(agents={"default": Agent(agent)}))
    assert content_of(ws, built.image_id, "what") == b"socket 666\n/run/buildkit/ssh_agent.0\n"
    assert sorted(top_layer(ws, built.image_id)) == ["", "what"]
    with pytest.raises(DockerfileError, match="unset ssh forward key default"):
        run_build(ws, context(tmp_path, "FROM base:1\nRUN --mount=type=ssh,required true\n"))


def test_a_script_is_run_by_the_interpreter_that_it_names(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1\nRUN <<EOF\n#!/bin/sh -e\necho $0 >/me\nEOF\n"
    built = run_build(ws, context(tmp_path, text))
    assert content_of(ws, built.image_id, "me") == b"/dev/pipes/EOF\n"
    changed = run_build(ws, context(tmp_path, text.replace("/me", "/you")))
    assert content_of(ws, changed.image_id, "you") == b"/dev/pipes/EOF\n"


def test_a_step_can_be_kept_off_the_network(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1\nRUN --network=none ls /sys/class/net >/devices\n"
    assert content_of(ws, run_build(ws, context(tmp_path, text)).image_id, "devices") == b"lo\n"
    place = context(tmp_path, "FROM base:1\nRUN ls /sys/class/net >/devices\n")
    assert content_of(ws, run_build(ws, place, network="none").image_id, "devices") == b"lo\n"


@pytest.mark.parametrize("network", ["default", "none", "host"])
def test_a_step_knows_itself_and_the_hosts_that_were_added_only(ws: Workspace, tmp_path: Path, network: str) -> None:
    text = f"FROM base:1\nRUN --network={network} cat /etc/hosts >/shown\n"
    built = run_build(ws, context(tmp_path, text), hosts=(("db", "10.0.0.9"),))
    assert content_of(ws, built.image_id, "shown") == (
        b"127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.9\tdb\n"
    )
    assert "etc/hosts" not in top_layer(ws, built.image_id)


def test_a_step_writes_the_name_of_the_host_and_cannot_write_what_would_be_lost(ws: Workspace, tmp_path: Path) -> None:
    lost = "! echo x 2>/dev/null >>/etc/hosts && ! echo x 2>/dev/null >>/etc/resolv.conf"
    text = f"FROM base:1\nRUN echo box >/etc/hostname && {lost}\nRUN cat /etc/hostname >/shown\n"
    image = run_build(ws, context(tmp_path, text)).image_id
    assert (content_of(ws, image, "etc/hostname"), content_of(ws, image, "shown")) == (b"box\n", b"box\n")


def test_a_step_that_fails_leaves_nothing_mounted_or_written(ws: Workspace, tmp_path: Path) -> None:
    text = "FROM base:1\nRUN --mount=target=/src --mount=type=cache,target=/c false\n"
    with pytest.raises(StepFailed):
        run_build(ws, context(tmp_path, text))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert os.listdir(tmp_path / "store/tmp") == []
