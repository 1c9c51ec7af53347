"""Values of `build`'s options that are wrong, that mean nothing here, or that are left empty."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from minidock.cli.app import main
from minidock.cli.build import build, request_of
from minidock.cli.build_limits import StepLimits, parse_resource
from minidock.cli.parsing import parse, signature_of
from minidock.core.build_options import Annotation, CacheOption, Output
from minidock.core.platform import Platform
from minidock.core.resources import Resources, Ulimit
from minidock.engine.preparing import BuildRequest
from minidock.engine.secrets import Secrets


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MINIDOCK_ROOT", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /f\n")
    (tmp_path / "a-file").write_text("x")
    return "context"


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["--label", "=x"], 'minidock: invalid key-value pair "=x": empty key', 1),
        (["--build-arg", ""], 'minidock: invalid key-value pair "": empty key', 1),
        (["-q", "--progress", "plain"], "minidock: progress=plain and quiet cannot be used together", 1),
        (["-o", "type=foo"], 'ERROR: failed to build: exporter "foo" could not be found', 1),
        (["-o", "type=local"], "ERROR: failed to build: dest is required for local output", 1),
        (
            ["-o", "a-file"],
            "ERROR: failed to build: destination a-file of --output type=local is no directory",
            1,
        ),
        (
            ["-o", "type=local,dest=new,mode=delete"],
            "ERROR: failed to build: mode=delete of --output type=local is not supported\n"
            "hint: files are added to what is there: empty the directory first",
            1,
        ),
        (
            ["-o", "type=image,push=maybe"],
            "ERROR: failed to build: non-bool value specified for push (--output)",
            1,
        ),
        (
            ["-o", "type=oci,dest=x,compression=lzma"],
            'ERROR: failed to build: unsupported layer compression type "lzma": it is uncompressed, gzip, zstd '
            "(--output)",
            1,
        ),
        (["--cache-to", "type=local"], "ERROR: failed to build: local cache exporter requires dest", 1),
        (
            ["--secret", "id=s,src=missing"],
            "ERROR: failed to build: failed to read secret s: missing: no such file or directory",
            1,
        ),
        (["--secret", "id=s,src=."], "ERROR: failed to build: failed to read secret s: .: is a directory", 1),
        (["--ssh", "x=missing"], "ERROR: failed to build: --ssh x: missing: no such file or directory", 1),
        (
            ["--squash"],
            "minidock: --squash is not supported: copy the files of one stage into another instead",
            1,
        ),
        (["--attest", "generator=x"], "minidock: attestation type not specified", 1),
        (["--attest", ""], "minidock: attestation type not specified", 1),
    ],
)
def test_wrong_values_are_told_in_one_line_before_anything_is_built(
    context: str, words: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *words, context]) == code
    assert capsys.readouterr() == ("", f"{message}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cache-to", "mode=max"], 'invalid argument "mode=max" for "--cache-to" flag: type required for "mode=max"'),
        (["--output", "dest=x"], 'invalid argument "dest=x" for "-o, --output" flag: type is required for output'),
        (
            ["--secret", "id"],
            'invalid argument "id" for "--secret" flag: invalid field \'id\' must be a key=value pair',
        ),
        (["--add-host", "a"], 'invalid argument "a" for "--add-host" flag: bad format for add-host: "a"'),
        (["--shm-size", "1q"], 'invalid argument "1q" for "--shm-size" flag: invalid suffix: \'q\''),
        (["--ulimit", "foo=1"], 'invalid argument "foo=1" for "--ulimit" flag: invalid ulimit type: foo'),
        (
            ["--resource", "memory"],
            'invalid argument "memory" for "--resource" flag: invalid resource "memory", expected key=value',
        ),
        (["--resource", "disk=1"], 'invalid argument "disk=1" for "--resource" flag: unknown resource "disk"'),
        (
            ["--resource", "memory=x"],
            'invalid argument "memory=x" for "--resource" flag: invalid value "x" for resource memory: invalid size: '
            "'x'",
        ),
    ],
)
def test_values_that_cannot_be_read_are_mistakes_of_the_line(
    context: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *words, context]) == 125
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", message)
    assert err.splitlines()[1:3] == ["", "Usage:  minidock build [OPTIONS] PATH | URL | -"]


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (["--attest", "type=sbom"], "--attest has no effect: no attestations are made"),
        (["--builder", "other"], "--builder has no effect: there is one builder, this program"),
        (
            ["--cache-to", "type=gha"],
            "--cache-to has no effect: of other caches only those of type=local,dest=DIR and type=registry,ref=NAME "
            "are known",
        ),
        (
            ["--cache-from", "type=s3,bucket=x"],
            "--cache-from has no effect: of other caches only those of type=local,dest=DIR and type=registry,ref=NAME "
            "are known",
        ),
        (["--cgroup-parent", "x"], "--cgroup-parent has no effect: steps run in a group of the caller's own"),
        (["--compress"], "--compress has no effect: the context is read where it is"),
        (["--debug"], "--debug has no effect: nothing more is known than --progress=plain shows"),
        (["--disable-content-trust=false"], "--disable-content-trust has no effect: images are not signed"),
        (["--isolation", "process"], "--isolation has no effect: Linux knows one kind"),
        (["--policy", "x"], "--policy has no effect: policies are not evaluated"),
        (["--provenance", "mode=max"], "--provenance has no effect: no attestations are made"),
        (["--rm=false"], "--rm has no effect: no container stays behind a step"),
        (["--sbom", "true"], "--sbom has no effect: no attestations are made"),
        (
            ["--security-opt", "seccomp=unconfined"],
            "--security-opt has no effect: steps run with docker's default confinement",
        ),
    ],
)
def test_an_option_without_effect_says_so(
    context: str, words: list[str], remark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--quiet", *words, context]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("sha256:")
    assert err == f"WARNING: {remark}\n"


def test_dockers_variable_names_the_platform_that_no_option_names(
    context: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/riscv64")
    for words, expected in (([], "linux/riscv64"), (["--platform", "linux/s390x"], "linux/s390x")):
        assert main(["build", "-q", *words, "-t", "app", context]) == 0
        assert main(["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "app"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == expected


def test_help_says_which_options_have_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buildx", "build", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line.split("--")[1].split()[0] for line in lines if line.endswith("(no effect)")]
    assert found == ["attest", "builder", "cgroup-parent", "debug", "policy", "provenance", "sbom"]


@pytest.mark.parametrize(
    "words",
    [
        ["--attest", "type=provenance,disabled=1"],
        ["--provenance", "0", "--sbom=false", "--builder", "default", "--isolation", "default"],
        ["--force-rm", "--rm", "--disable-content-trust", "--pull=false"],
        # A script passes what may be empty.
        ["--secret", "", "--ssh", "", "-o", "", "--build-context", "", "--cache-to", "", "--cache-from", ""],
        ["--allow", "", "--annotation", "", "--platform", "", "--target", "", "--network", "default"],
    ],
)
def test_what_changes_nothing_is_taken_in_silence(
    context: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--quiet", *words, context]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("sha256:")
    assert err == ""


@pytest.mark.parametrize("words", [["--progress=quiet"], ["-q", "--progress=none"], ["-q", "--progress=quiet"]])
def test_every_way_of_being_quiet_prints_the_image_alone(
    context: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *words, context]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), out[:7], err) == (1, "sha256:", "")


def test_no_progress_is_no_output_at_all(context: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--progress=none", context]) == 0
    assert capsys.readouterr() == ("", "")


def request(*words: str) -> BuildRequest:
    """Return what a command line asks for."""
    values = parse([*words, "context"], signature_of(build), command="minidock build")
    names = ("path", "step_limits", "places", "steps", "outputs", "questions", "others")
    return request_of(**{name: values[name] for name in names})


PLATFORMS = (Platform("linux", "arm64"), Platform("linux", "arm", "v7"))


@pytest.mark.parametrize(
    ("words", "member", "value"),
    [
        (["--add-host", "a:1.2.3.4", "--add-host=b=::1"], "hosts", (("a", "1.2.3.4"), ("b", "::1"))),
        (["--allow", "network.host"], "allowed", ("network.host",)),
        (["--annotation", "a=b"], "annotations", (Annotation("a", "b"),)),
        (["--build-arg", "A=b", "--build-arg", "HERE", "--build-arg=NOT_HERE"], "build_args", {"A": "b", "HERE": "x"}),
        (["--build-context", "docker.io/library/a:latest=dir"], "contexts", {"a": "dir"}),
        (
            ["--cache-from", "a/b,c"],
            "cache_from",
            (CacheOption("registry", {"ref": "a/b"}), CacheOption("registry", {"ref": "c"})),
        ),
        (
            ["--cache-to", "type=local,dest=d,mode=max"],
            "cache_to",
            (CacheOption("local", {"dest": "d", "mode": "max"}),),
        ),
        (["-f", "D"], "dockerfile", "D"),
        (["--label", "a=b=c", "--label", "d"], "labels", {"a": "b=c", "d": ""}),
        (["--network", "none"], "network", "none"),
        (["--network", "default"], "network", ""),
        (["--no-cache"], "uses_cache", False),
        (["--no-cache-filter", "A,b", "--no-cache-filter=c"], "no_cache_stages", ("a", "b", "c")),
        (["--platform", "linux/arm64"], "platform", PLATFORMS[0]),
        (["--platform", "linux/arm64,linux/arm"], "platforms", PLATFORMS),
        (["--pull"], "pulls_always", True),
        (["--require-cached"], "requires_cached", True),
        (["-t", "a", "--tag=b:1"], "tags", ("a", "b:1")),
        (["--target", "x"], "target", "x"),
        (["--secret", "id=s,env=HERE"], "secrets", Secrets(values={"s": b"x"})),
        (
            ["-m", "64m", "--memory-swap", "-1"],
            "resources",
            Resources(memory=64 << 20, memory_swap=-1, shm_size=64 << 20),
        ),
        (["--shm-size=1g"], "resources", Resources(shm_size=1 << 30)),
        (["--ulimit", "nofile=1:2"], "resources", Resources(ulimits=(Ulimit("nofile", 1, 2),), shm_size=64 << 20)),
        (
            ["-c", "2", "--cpu-period", "3", "--cpu-quota", "4", "--cpuset-cpus", "0", "--cpuset-mems", "0-1"],
            "resources",
            Resources(cpu_shares=2, cpu_period=3, cpu_quota=4, cpuset_cpus="0", cpuset_mems="0-1", shm_size=64 << 20),
        ),
    ],
)
def test_an_option_reaches_the_build(
    words: list[str], member: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", "x")
    monkeypatch.delenv("NOT_HERE", raising=False)
    asked, usual = request(*words), request()
    assert getattr(asked, member) == value
    different = {item.name for item in fields(asked) if getattr(asked, item.name) != getattr(usual, item.name)}
    assert different - {"outputs"} == ({member} if getattr(usual, member) != value else set())


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        ([], ()),
        (["--load"], (Output("docker"),)),
        (["--push"], (Output("registry"),)),
        (["--load", "-o", "type=docker,name=a"], (Output("docker", "", {"name": "a"}),)),
        (["-o", "out", "-o", "-"], (Output("local", "out"), Output("tar", "-"))),
        (["--output=type=oci,dest=f,tar=false"], (Output("oci", "f", {"tar": "false"}),)),
    ],
)
def test_outputs_are_those_of_all_options(words: list[str], outputs: tuple[Output, ...]) -> None:
    assert request(*words).outputs.wanted == outputs


def test_resources_win_over_the_options_of_old() -> None:
    limits = StepLimits(
        memory=1 << 20, cpu_quota=1, resource=(parse_resource("memory=2g"), parse_resource("cpuset-cpus=0"))
    )
    assert limits.resources() == Resources(memory=2 << 30, cpu_quota=1, cpuset_cpus="0", shm_size=64 << 20)
