"""The words in which a miss of the cache is explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from minidock.core.cache_key import InputFile, RecordedInputs, StepInputs
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.file_reasons import explain_files
from minidock.core.reason import Reason, change_of
from minidock.core.reasons import explain, explain_place, has_changed
from minidock.core.told import NOTHING_TOLD, Ignores, Told, ToldMount

RUN = StepInputs(
    'RUN ["/bin/sh" "-c" "make all"]',
    "sha256:" + "a" * 64,
    settings=(("user", ""), ("directory", "/"), ("architecture", "amd64")),
    told=Told("RUN make all", "/bin/sh -c", "base:1@sha256:" + "1" * 64),
)


def recorded(inputs: StepInputs) -> RecordedInputs:
    """Return inputs as they come back from a record."""
    return RecordedInputs.from_json(inputs.to_json(), inputs.files)


def reasons(before: StepInputs | RecordedInputs, now: StepInputs) -> tuple[Reason, ...]:
    return explain(recorded(before) if isinstance(before, StepInputs) else before, now.recorded())


def run(text: str, shell: str = "/bin/sh -c") -> StepInputs:
    return replace(RUN, instruction=f"RUN {shell} {text}", told=replace(RUN.told, text=f"RUN {text}", shell=shell))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("apt-get install -y curl", "apt-get install -y curl git", "'git' added"),
        ("apt-get install -y curl", "apt-get install curl", "'-y' removed"),
        ("apt-get install -y curl jq", "apt-get install -y wget jq", "'curl' -> 'wget'"),
        ("a b c d e", "A b c D e f", "'a' -> 'A', 'd' -> 'D', 'f' added"),
        ("a b c d e f g", "A b C d E f G", "'a' -> 'A', 'c' -> 'C', 'e' -> 'E' and 1 more"),
        ("echo  a", "echo a", "white space"),
        ("x", "y" * 60, f"'x' -> '{'y' * 39}…'"),
    ],
)
def test_of_a_changed_instruction_the_changed_words_are_told(before: str, now: str, expected: str) -> None:
    assert reasons(run(before), run(now)) == (
        Reason(f"instruction changed: {expected}", (f"RUN {before}", f"RUN {now}")),
    )


def test_another_shell_is_told_as_one() -> None:
    shells = "shell changed: '/bin/sh -c' -> '/bin/bash -ec'"
    assert reasons(run("make"), run("make", "/bin/bash -ec")) == (Reason(shells, ("/bin/sh -c", "/bin/bash -ec")),)
    assert [reason.text for reason in reasons(run("make"), run("make x", "/bin/bash -ec"))] == [
        shells,
        "instruction changed: 'x' added",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("user", "app", "user changed: none -> 'app'"),
        ("directory", "/src", "working directory changed: '/' -> '/src'"),
        ("architecture", "arm64", "platform changed: 'amd64' -> 'arm64'"),
        ("host db", "10.0.0.1", "host db added: '10.0.0.1'"),
    ],
)
def test_settings_have_the_names_that_authors_know(name: str, value: str, expected: str) -> None:
    settings = dict(RUN.settings)
    changed = replace(RUN, settings=tuple({**settings, name: value}.items()))
    details = (settings[name], value) if name in settings else ()
    assert reasons(RUN, changed) == (Reason(expected, details),)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("a", "b", "'a' -> 'b'"),
        ("", "b", "none -> 'b'"),
        (
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/bin",
            "/usr/local/sbin:/opt",
            "'…local/sbin:/usr/local/bin:/usr/sbin:/b…' -> '…local/sbin:/opt'",
        ),
        ("x" * 50, "x" * 50 + "y", f"'…{'x' * 12}' -> '…{'x' * 12}y'"),
    ],
)
def test_of_long_values_the_place_is_shown_where_they_differ(before: str, now: str, expected: str) -> None:
    assert change_of(before, now) == expected


MOUNTS = ("mount /x", "cache rw id=/x"), ("mount /s", "secret rw id=s env=S")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((("mount /x", "cache ro id=/x"), MOUNTS[1]), "mount /x changed: rw -> ro"),
        (
            (("mount /x", "cache rw id=a b mode=700 uid=1 gid=2"), MOUNTS[1]),
            "mount /x changed: id '/x' -> 'a b', mode none -> '700', uid none -> '1', gid none -> '2'",
        ),
        (
            (("mount /x", "tmpfs rw size=10"), MOUNTS[1]),
            "mount /x changed: cache -> tmpfs, id '/x' -> none, size none -> '10'",
        ),
        ((("mount /y", "cache rw id=/y"), MOUNTS[1]), "mount target changed: '/x' -> '/y'"),
        ((MOUNTS[0], ("mount /s", "secret rw id=t env=T")), "mount /s changed: id 's' -> 't', env 'S' -> 'T'"),
        (MOUNTS[:1], "mount /s removed: secret rw id=s env=S"),
        ((*MOUNTS, ("mount /z", "ssh rw id=default")), "mount /z added: ssh rw id=default"),
    ],
)
def test_mounts_are_compared_option_by_option(settings: tuple[tuple[str, str], ...], expected: str) -> None:
    assert [one.text for one in reasons(replace(RUN, settings=MOUNTS), replace(RUN, settings=settings))] == [expected]


def test_a_bind_from_elsewhere_is_told_once_and_not_file_by_file() -> None:
    def bound(from_: str, source: str, content: str = "1") -> StepInputs:
        path = f"{from_}:{source}"
        told = replace(RUN.told, mounts=(ToldMount("mount /x", from_, source, path),))
        files = (InputFile(path, "dir", 0o755, ""), InputFile(f"{path}/a", "file", 0o644, content))
        return replace(RUN, settings=(("mount /x", "bind ro"),), files=files, told=told)

    def texts(now: StepInputs) -> list[str]:
        return [one.text for one in reasons(bound("one", "/src"), now)]

    assert texts(bound("one", "/src", "2")) == ["1 of 1 file changed: one:/src/a (content)"]
    assert texts(bound("one", "/lib")) == ["mount /x changed: source '/src' -> '/lib'"]
    assert texts(bound("two", "/lib")) == ["mount /x changed: from 'one' -> 'two', source '/src' -> '/lib'"]


def test_another_image_below_is_told_with_both_digests() -> None:
    other = "base:2@sha256:" + "2" * 64
    changed = replace(RUN, parent="sha256:" + "b" * 64, told=replace(RUN.told, base=other))
    assert reasons(RUN, changed) == (
        Reason("parent image changed: base:1@111111111111 -> base:2@222222222222", (RUN.told.base, other)),
    )
    changed = replace(RUN, parent="sha256:" + "b" * 64)
    assert reasons(RUN, changed) == (
        Reason("parent changed: aaaaaaaaaaaa -> bbbbbbbbbbbb", (RUN.parent, changed.parent)),
    )


def test_records_from_before_the_words_were_kept_are_compared_as_they_are() -> None:
    members = {name: value for name, value in RUN.to_json().items() if name not in ("text", "shell", "base")}
    before = RecordedInputs.from_json(members, None)
    assert reasons(before, replace(RUN, parent="scratch")) == (
        Reason("parent changed: aaaaaaaaaaaa -> scratch", (RUN.parent, "scratch")),
    )
    assert reasons(before, run("make"))[0].text.startswith("instruction changed: ")


def test_another_instruction_is_the_only_reason() -> None:
    now = StepInputs("COPY a /b", "scratch", files=(InputFile("a", "file", 0o644, "1"),))
    assert [reason.text for reason in reasons(RUN, now)] == ["instruction changed: RUN make all -> COPY a /b"]


SECRET = "hunter2-and-more"


def test_values_that_look_secret_are_shown_nowhere() -> None:
    def with_token(value: str) -> StepInputs:
        return StepInputs(
            f"COPY x-{value} /",
            "scratch",
            env=(f"API_TOKEN={value}", f"URL=https://{value}@host"),
            build_args=(("KEY", value),),
            settings=(("mount /c", f"cache rw id={value}"),),
            told=Told(secrets=(value,)),
        )

    before, now = with_token(SECRET), with_token("another-secret")
    assert SECRET not in str(before.to_json())
    found = reasons(before, now)
    assert [reason.text for reason in found] == [
        "instruction changed: a secret value",
        "build argument KEY changed",
        "environment variable API_TOKEN changed",
        "environment variable URL changed: a secret value",
        "mount /c changed: id a secret value",
    ]
    assert all(SECRET not in str(reason) and "another-secret" not in str(reason) for reason in found)
    assert before.key() != now.key()


def test_what_is_told_beside_the_inputs_is_no_part_of_the_key() -> None:
    assert replace(RUN, told=Told()).key() == RUN.key()


def taking(files: Sequence[InputFile], told: Told = NOTHING_TOLD, text: str = "COPY . /") -> RecordedInputs:
    return StepInputs(text, "scratch", files=tuple(files), told=told).recorded()


def test_files_are_counted_and_directories_only_if_they_changed() -> None:
    def found(now: Sequence[InputFile], before: Sequence[InputFile]) -> tuple[Reason, ...]:
        return explain_files(taking(before), taking(now))

    before = [InputFile("d", "dir", 0o755, ""), *(InputFile(f"d/{n}", "file", 0o644, "1") for n in range(3))]
    assert found(before, before) == ()
    now = [before[0], before[1], before[2]._replace(content="2")]
    assert found(now, before)[0].text == "2 of 3 files changed: d/1 (content), d/2 (removed)"
    assert found([before[0]._replace(mode=0o700), *before[1:]], before)[0].text == (
        "1 of 4 files changed: d (mode 755→700)"
    )
    assert found([InputFile("", "dir", 0o755, "")], [])[0].text == "1 of 1 file changed: . (added)"
    assert found([], before)[0].details == ("d (removed)", *(f"d/{n} (removed)" for n in range(3)))


def ignoring(text: str, prefix: str = "") -> Told:
    return Told(ignores=(Ignores(prefix, IgnoreRules.parse(text, ".dockerignore")),))


HERE = ["a.log", "keep.log", "m", "m/1", "m/2", "m/d", "m/d/3", "src"]


def listed(*paths: str) -> list[InputFile]:
    return [InputFile(path, "dir" if path in ("m", "m/d") else "file", 0o644, "1") for path in paths]


@pytest.mark.parametrize(
    ("old", "new", "before", "now", "expected"),
    [
        ("", "*.log\n!keep.log", HERE, HERE[1:], [("newly ignored by .dockerignore:1 (*.log): a.log", ("a.log",))]),
        (
            "*.log",
            "# all\n",
            HERE[2:],
            HERE,
            [("no longer ignored by .dockerignore:1 (*.log): a.log, keep.log", ("a.log", "keep.log"))],
        ),
        (
            "*.log",
            "*.log\n!keep.log",
            HERE[2:],
            HERE[1:],
            [("newly included by .dockerignore:2 (!keep.log): keep.log", ("keep.log",))],
        ),
        (
            "*.log\n!keep.log",
            "*.log",
            HERE[1:],
            HERE[2:],
            [("newly ignored by .dockerignore:1 (*.log): keep.log", ("keep.log",))],
        ),
        (
            "",
            "\nm",
            HERE,
            [*HERE[:2], "src"],
            [("newly ignored by .dockerignore:2 (m): m/ (3 files)", ("m", "m/1", "m/2", "m/d", "m/d/3"))],
        ),
        (
            "",
            "m",
            HERE,
            ["a.log", "new", "src"],
            [
                ("2 of 4 files changed: keep.log (removed), new (added)", ("keep.log (removed)", "new (added)")),
                ("newly ignored by .dockerignore:1 (m): m/ (3 files)", ("m", "m/1", "m/2", "m/d", "m/d/3")),
            ],
        ),
        ("m", "m", ["src"], ["new", "src"], [("1 of 2 files changed: new (added)", ("new (added)",))]),
    ],
)
def test_files_that_an_ignore_rule_leaves_out_by_now_are_not_removed(
    old: str, new: str, before: list[str], now: list[str], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = explain_files(taking(listed(*before), ignoring(old)), taking(listed(*now), ignoring(new)))
    assert [tuple(reason) for reason in found] == expected


def test_the_rules_of_a_named_context_count_below_its_name_only() -> None:
    before, now = Told(), ignoring("*.log", "docs:/")
    paths = ["a.log", "docs:/a.log"]
    found = explain_files(taking(listed(*paths), before, "RUN x"), taking([], now, "RUN x"))
    assert [reason.text for reason in found] == [
        "1 of 1 file changed: a.log (removed)",
        "newly ignored by .dockerignore:1 (*.log): docs:/a.log",
    ]


def test_files_that_another_text_takes_are_neither_added_nor_removed() -> None:
    found = explain_files(taking(listed("a", "b"), Told("COPY a b /")), taking(listed("a", "c"), Told("COPY a c /")))
    assert [reason.text for reason in found] == ["2 of 3 files changed: b (no longer taken), c (now taken)"]


NAMES = ("[1/3] COPY a /a", "[2/3] RUN make", "[3/3] RUN <<EOF", "[build 2/2] RUN test")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("[2/3] RUN make all", True),
        ("[3/3] RUN <<EOF", True),
        ("[2/3] COPY a /a", False),  # one of before has moved
        ("[2/4] RUN make all", False),  # there was one step less
        ("[build 2/2] RUN tests", True),
        ("[other 2/2] RUN tests", False),
    ],
)
def test_a_step_has_changed_if_it_stands_where_another_text_stood_that_is_gone(name: str, expected: bool) -> None:
    assert has_changed(name, NAMES) is expected


@pytest.mark.parametrize(
    ("name", "before", "now", "expected"),
    [
        ("[2/4] COPY b /b", "RUN make", "COPY b /b", "new step, where RUN make was"),
        ("[2/4] RUN apt install git", "RUN make", "RUN apt install git", "new step, where RUN make was"),
        ("[1/2] RUN make", "COPY a /a", "RUN make", "moved to where COPY a /a was"),
        ("[build 1/1] RUN make", "RUN test", "RUN make", "new step, where RUN test was"),  # the one of another stage
        ("[2/4] RUN make all", "RUN make", "RUN make all", None),
        ("[2/3] RUN other", "RUN make", "RUN other", None),
        ("[2/3] RUN make", "RUN make", "RUN make", None),
    ],
)
def test_a_step_at_the_place_of_another_one_is_new_or_has_moved(
    name: str, before: str, now: str, expected: str | None
) -> None:
    inputs = [StepInputs(text, "scratch", told=Told(text)).recorded() for text in (before, now)]
    found = explain_place(name, NAMES, *inputs)
    assert found == (None if expected is None else Reason(expected, (before, now)))
    assert explain_place(name, (), *inputs) is None  # nothing is known of the last build
