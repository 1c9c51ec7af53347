from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minidock.core.dockerfile import instructions
from minidock.core.dockerfile.flags import InstructionFlagError, Kind, read_flags
from minidock.core.dockerfile.heredocs import Heredoc
from minidock.core.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from minidock.core.dockerfile.parser import parse
from minidock.core.dockerfile.ports import BadPort, parse_ports
from minidock.errors import DockerfileError
from tests.vectors import params

SECOND = 1_000_000_000
BAD = Path(__file__).parents[2] / "testdata" / "dockerfiles" / "bad"


def read_one(text: str) -> Instruction:
    """Return the only instruction of ``text``."""
    (instruction,) = instructions.read(parse(text.encode()))
    return instruction


def at(first: int = 1, last: int = 1, original: str = "") -> dict[str, Any]:
    return {"first": first, "last": last, "original": original}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", From("a")),
        ("FROM --platform=$X a:1 as Build", From("a:1", "build", "$X")),
        ("ARG a b= c='1 2'", Arg((("a", None), ("b", ""), ("c", "'1 2'")))),
        ("ENV a=1 b='2'", Env((("a", "1"), ("b", "'2'")))),
        ("ENV a b c", Env((("a", "b c"),), is_legacy=True)),
        ("LABEL a.b=1", Label((("a.b", "1"),))),
        ('MAINTAINER "Me" <me@x>', Maintainer('"Me" <me@x>')),
        ("COPY a b/ c/", Copy(("a", "b/"), "c/")),
        (
            "COPY --from=x --chown=1 --chmod=2 --link --parents=TRUE --exclude=a --exclude=b s d",
            Copy(("s",), "d", (), "x", "1", "2", True, True, ("a", "b")),
        ),
        ('COPY ["<<E", "d"]', Copy(("<<E",), "d")),
        ("ADD --unpack=false --keep-git-dir a b", Add(("a",), "b", keep_git_dir=True, unpack=False)),
        ("ADD --checksum=sha256:1 --link=false a b", Add(("a",), "b", checksum="sha256:1")),
        ("RUN  a  b", Run(Command(("a  b",), is_shell=True))),
        ('RUN ["a", "b"]', Run(Command(("a", "b"), is_shell=False))),
        ("RUN []", Run(Command((), is_shell=False))),
        (
            "RUN --mount=type=cache,target=/x --mount=type=tmpfs --network=none --security=sandbox x",
            Run(Command(("x",), is_shell=True), (), ("type=cache,target=/x", "type=tmpfs"), "none", "sandbox"),
        ),
        ("CMD x", Cmd(Command(("x",), is_shell=True))),
        ("CMD []", Cmd(Command((), is_shell=False))),
        ("CMD", Cmd(Command(("",), is_shell=True))),
        ('ENTRYPOINT ["x"]', Entrypoint(Command(("x",), is_shell=False))),
        ('SHELL ["sh", "-ec"]', Shell(("sh", "-ec"))),
        ("USER a:b", User("a:b")),
        ("WORKDIR a b", Workdir("a b")),
        ("EXPOSE 80 443/udp", Expose(("80", "443/udp"))),
        ('VOLUME ["/a b"]', Volume(("/a b",))),
        ("VOLUME /a /b", Volume(("/a", "/b"))),
        ("STOPSIGNAL $X", StopSignal("$X")),
        ("HEALTHCHECK none", Healthcheck(("NONE",))),
        ("HEALTHCHECK CMD x  y", Healthcheck(("CMD-SHELL", "x  y"))),
        (
            'HEALTHCHECK --interval=1m30s --timeout=1ms --start-period=0s --start-interval=1h --retries=2 CMD ["x"]',
            Healthcheck(("CMD", "x"), 90 * SECOND, 1_000_000, 0, 3600 * SECOND, 2),
        ),
        ("onbuild  RUN  a   b", Onbuild("RUN  a   b")),
    ],
)
def test_every_instruction(text: str, expected: Instruction) -> None:
    read = read_one(text)
    assert read == type(expected)(
        **{name: getattr(expected, name) for name in expected.__dataclass_fields__} | at(1, 1, text)
    )


def test_an_instruction_knows_its_lines_and_its_text() -> None:
    _, run = instructions.read(parse(b"FROM a\n  RUN a \\\n# no\n   b \n"))
    assert run == Run(Command(("a    b",), is_shell=True), first=2, last=4, original="RUN a    b")


def test_heredocs_are_files_of_a_copy_and_bodies_of_a_run() -> None:
    a, b = Heredoc("a", "x\n"), Heredoc("b", "\ty\n", is_expanded=False, strips_tabs=True)
    copy = read_one("COPY <<a p <<-'b' /d/\nx\na\n\ty\n\tb\n")
    assert copy == Copy(("p",), "/d/", (a, b), **at(1, 5, "COPY <<a p <<-'b' /d/"))
    run = read_one("RUN cat <<a\nx\na\n")
    assert run == Run(Command(("cat <<a",), is_shell=True), (a,), **at(1, 3, "RUN cat <<a"))
    onbuild = read_one("ONBUILD RUN <<a\nx\na\n")
    assert onbuild == Onbuild("RUN <<a\nx\na", **at(1, 3, "ONBUILD RUN <<a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FNTRYPOINT x", "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"),
        ("rum x", "unknown instruction: rum (did you mean run?)"),
        ("BANANAS", "unknown instruction: BANANAS"),
        ("RUN --mont=x y", "unknown flag: --mont (did you mean mount?)"),
        ("COPY --Link a b", "unknown flag: --Link (did you mean link?)"),
        ("CMD --x y", "unknown flag: --x"),
        ("COPY --from a b", "missing a value on flag: --from"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --from=a --from=b a b", "duplicate flag specified: --from"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a of b", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1x",
            'invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
        ),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("ENV", "ENV requires at least one argument"),
        ("LABEL =x", "LABEL names can not be blank"),
        ("RUN --network=x y", 'invalid network mode "x"'),
        (
            "COPY",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("ADD x <<E\nE", "ADD cannot accept a heredoc as a destination"),
        ("SHELL sh -c", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ('VOLUME ["", "a"]', "VOLUME specified can not be an empty string"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK --interval=x NONE y", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK foo x", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --timeout=5 CMD x", 'time: missing unit in duration "5"'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("ONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
    ],
)
def test_a_bad_instruction_names_the_line(text: str, message: str) -> None:
    dockerfile = parse(f"ARG x\n{text}\n".encode(), "My.Dockerfile")
    with pytest.raises(DockerfileError) as caught:
        instructions.read(dockerfile)
    error = caught.value
    assert str(error) == f"dockerfile parse error on line 2: {message}"
    assert (error.filename, error.first, error.last, error.source) == (
        "My.Dockerfile",
        2,
        2 + text.count("\n"),
        dockerfile.source,
    )


@pytest.mark.parametrize("directory", sorted(BAD.iterdir()), ids=lambda path: path.name)
def test_bad_dockerfiles_say_what_is_wrong(directory: Path) -> None:
    with pytest.raises(DockerfileError) as caught:
        instructions.read(parse((directory / "Dockerfile").read_bytes()))
    assert f"{caught.value}\n" == (directory / "stderr").read_text()


ENV = {"a": "1", "two": "80 81/udp", "dir": "/d", "empty": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV x=$a y=\"$a $x\" $a='$a'", Env((("x", "1"), ("y", "1 "), ("1", "$a")))),
        ("LABEL k$a=${none:-d}", Label((("k1", "d"),))),
        (
            "COPY --chown=$a --chmod=$a --from=$a --exclude=$a $dir/x $two $dir",
            Copy(("/d/x", "80 81/udp"), "/d", (), "$a", "1", "1", excludes=("$a",)),
        ),
        ("ADD --checksum=$a http://x/$a .", Add(("http://x/1",), ".", checksum="1")),
        ("EXPOSE $two 90-91", Expose(("80/tcp", "81/udp", "90/tcp", "91/tcp"))),
        ("EXPOSE 80/TCP 1.2.3.4:1:2 [::1]::3", Expose(("80/tcp", "2/tcp", "3/tcp"))),
        ("STOPSIGNAL SIG${none:-TERM}", StopSignal("SIGTERM")),
        ("USER $a:$a", User("1:1")),
        ("VOLUME $dir $two", Volume(("/d", "80 81/udp"))),
        ("WORKDIR $dir/$none/x", Workdir("/d//x")),
        ("RUN $a", Run(Command(("$a",), is_shell=True))),
        ("CMD $a", Cmd(Command(("$a",), is_shell=True))),
        ("MAINTAINER $a", Maintainer("$a")),
        ("HEALTHCHECK CMD $a", Healthcheck(("CMD-SHELL", "$a"))),
    ],
)
def test_variables_are_replaced(text: str, expected: Instruction) -> None:
    expanded = instructions.expand(read_one(text), ENV)
    assert expanded == type(expected)(
        **{name: getattr(expected, name) for name in expected.__dataclass_fields__} | at(1, 1, text)
    )


def test_variables_in_the_files_of_a_copy_are_replaced_unless_quoted() -> None:
    copy = instructions.expand(read_one("COPY <<-A <<'B' /d\n\t'$a' \\$a\nA\n$a\nB\n"), ENV)
    assert isinstance(copy, Copy)
    assert [(heredoc.name, heredoc.text) for heredoc in copy.heredocs] == [("A", "'1' $a\n"), ("B", "$a\n")]


def test_the_escape_character_counts_in_expansion() -> None:
    assert instructions.expand(Workdir("C:\\`$a$a"), ENV, "`") == Workdir("C:\\$a1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ENV x=${a", "failed to process \"${a\": syntax error: missing '}'"),
        ("USER ${none:?say who}", 'failed to process "${none:?say who}": none: say who'),
        ("STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"),
        ("EXPOSE 70000", 'invalid port: "70000": invalid containerPort: 70000'),
        ("EXPOSE 9-8", 'invalid port: "9-8": invalid containerPort: 9-8'),
        ("EXPOSE 80/x", 'invalid port: "80/x": invalid proto: x'),
        ("VOLUME $empty", "VOLUME specified can not be an empty string"),
        ("COPY https://x/y /", "source can't be a URL for COPY"),
        ("COPY https://x/y.git#main /", "source can't be a git ref for COPY"),
    ],
)
def test_a_value_that_is_wrong_after_expansion_names_the_lines(text: str, message: str) -> None:
    _, instruction = instructions.read(parse(f"FROM x\n{text}".encode()))
    with pytest.raises(DockerfileError) as caught:
        instructions.expand(instruction, ENV)
    assert (str(caught.value), caught.value.first, caught.value.last) == (message, 2, 2)


@pytest.mark.parametrize("case", params("instruction-flags"))
def test_vectors_of_flags(case: dict[str, Any]) -> None:
    known = {name: Kind.BOOL if flag["type"] == "bool" else Kind.TEXT for name, flag in case["defs"].items()}
    if not case["ok"]:
        with pytest.raises(InstructionFlagError):
            read_flags(case["args"], known)
        return
    flags = read_flags(case["args"], known)
    values = {**flags.texts, **flags.bools}
    for name, value in case.get("values", {}).items():
        assert values.get(name, case["defs"][name]["default"]) == value
    if "used" in case:
        assert flags.used == case["used"]


@pytest.mark.parametrize("case", params("instruction-forms"))
def test_vectors_of_forms(case: dict[str, Any]) -> None:
    nodes = parse(case["dockerfile"].encode())
    read = instructions.read(nodes)
    if "copy" in case:
        (copy,) = read
        assert isinstance(copy, Copy)
        found = [{"path": h.name, "data": h.text, "expand": h.is_expanded} for h in copy.heredocs]
        assert {"dest": copy.destination, "sources": list(copy.sources), "heredocs": found} == case["copy"]
    if "run" in case:
        (run,) = read
        assert isinstance(run, Run)
        bodies = [{"name": h.name, "data": h.content, "chomp": h.strips_tabs} for h in run.heredocs]
        actual = {"shell_form": run.command.is_shell, "command": list(run.command.args), "heredocs": bodies}
        assert actual == case["run"]
    if "flags_used" in case:
        assert [flag[2:].partition("=")[0] for flag in nodes.nodes[0].flags] == case["flags_used"]
    if "healthcheck" in case:
        (check,) = read
        assert isinstance(check, Healthcheck)
        assert {"Test": list(check.test)} == case["healthcheck"]


@pytest.mark.parametrize("case", params("expose-ports"))
def test_vectors_of_ports(case: dict[str, Any]) -> None:
    if "instruction" in case:
        expanded = instructions.expand(read_one(case["instruction"]), case["env"])
        assert isinstance(expanded, Expose)
        assert list(expanded.ports) == case["exposed"]
    elif "error" in case or case.get("error_any"):
        with pytest.raises(BadPort) as caught:
            [parse_ports(port) for port in case["ports"]]
        assert case.get("error", "") in str(caught.value)
    else:
        assert [port for text in case["ports"] for port in parse_ports(text)] == case["exposed"]


@pytest.mark.parametrize("case", params("dockerfile-errors", stage=("parse", "instruction")))
def test_vectors_of_errors(case: dict[str, Any]) -> None:
    if "dockerfile_generator" in case:
        made = case["dockerfile_generator"]
        text = made["prefix"] + made["repeat"] * made["count"] + made["suffix"]
    else:
        text = case["dockerfile"]
    if "error" in case and case["error"] is None:
        instructions.read(parse(text.encode()))
        return
    with pytest.raises(DockerfileError) as caught:
        instructions.read(parse(text.encode()))
    message = str(caught.value)
    assert case.get("error_contains", "") in message
    if "error" in case:
        assert message.removeprefix(f"dockerfile parse error on line {caught.value.first}: ") == case["error"]
