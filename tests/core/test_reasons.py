"""The words in which a miss of the cache is explained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minidock.core.cache_key import InputFile, RecordedInputs, StepInputs, Told
from minidock.core.reasons import Reason, explain, explain_files, has_changed

RUN = StepInputs(
    'RUN ["/bin/sh" "-c" "make all"]',
    "sha256:" + "a" * 64,
    settings=(("user", ""), ("directory", "/"), ("architecture", "amd64")),
    told=Told("RUN make all", "/bin/sh -c", "base:1@sha256:" + "1" * 64),
)


def recorded(inputs: StepInputs) -> RecordedInputs:
    """Return inputs as they come back from a record."""
    return RecordedInputs.from_json(inputs.to_json(), inputs.files)


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
    assert explain(recorded(run(before)), run(now)) == (
        Reason(f"instruction changed: {expected}", (f"RUN {before}", f"RUN {now}")),
    )


def test_another_shell_is_told_as_one() -> None:
    shells = "shell changed: '/bin/sh -c' -> '/bin/bash -ec'"
    assert explain(recorded(run("make")), run("make", "/bin/bash -ec")) == (Reason(shells),)
    assert [reason.text for reason in explain(recorded(run("make")), run("make x", "/bin/bash -ec"))] == [
        shells,
        "instruction changed: 'x' added",
    ]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("user", "app", "user changed: none -> 'app'"),
        ("directory", "/src", "working directory changed: '/' -> '/src'"),
        ("architecture", "arm64", "platform changed: 'amd64' -> 'arm64'"),
        ("mount /src", "bind ro", "mount /src added"),
    ],
)
def test_settings_have_the_names_that_authors_know(name: str, value: str, expected: str) -> None:
    changed = replace(RUN, settings=tuple({**dict(RUN.settings), name: value}.items()))
    assert explain(recorded(RUN), changed) == (Reason(expected),)


def test_another_image_below_is_told_with_both_digests() -> None:
    other = "base:2@sha256:" + "2" * 64
    changed = replace(RUN, parent="sha256:" + "b" * 64, told=replace(RUN.told, base=other))
    assert explain(recorded(RUN), changed) == (
        Reason("parent image changed: base:1@111111111111 -> base:2@222222222222", (RUN.told.base, other)),
    )
    changed = replace(RUN, parent="sha256:" + "b" * 64)
    assert explain(recorded(RUN), changed) == (
        Reason("parent changed: aaaaaaaaaaaa -> bbbbbbbbbbbb", (RUN.parent, changed.parent)),
    )


def test_records_from_before_the_words_were_kept_are_compared_as_they_are() -> None:
    members = {name: value for name, value in RUN.to_json().items() if name not in ("text", "shell", "base")}
    before = RecordedInputs.from_json(members, None)
    assert explain(before, replace(RUN, parent="scratch")) == (
        Reason("parent changed: aaaaaaaaaaaa -> scratch", (RUN.parent, "scratch")),
    )
    assert explain(before, run("make"))[0].text.startswith("instruction changed: ")


def test_another_instruction_is_the_only_reason() -> None:
    now = StepInputs("COPY a /b", "scratch", files=(InputFile("a", "file", 0o644, "1"),))
    assert [reason.text for reason in explain(recorded(RUN), now)] == ["instruction changed: RUN make all -> COPY a /b"]


SECRET = "hunter2-and-more"


def test_values_that_look_secret_are_shown_nowhere() -> None:
    def with_token(value: str) -> StepInputs:
        return StepInputs(
            f"COPY x-{value} /",
            "scratch",
            env=(f"API_TOKEN={value}", f"URL=https://{value}@host"),
            build_args=(("KEY", value),),
            settings=(("mount /c", f"cache id={value}"),),
            told=Told(secrets=(value,)),
        )

    before, now = with_token(SECRET), with_token("another-secret")
    assert SECRET not in str(before.to_json())
    reasons = explain(recorded(before), now)
    assert [reason.text for reason in reasons] == [
        "instruction changed: a secret value",
        "build argument KEY changed",
        "environment variable API_TOKEN changed",
        "environment variable URL changed: 'https://****@host' -> 'https://****@host'",
        "mount /c changed: 'cache id=****' -> 'cache id=****'",
    ]
    assert all(SECRET not in str(reason) and "another-secret" not in str(reason) for reason in reasons)
    assert before.key() != now.key()


def test_what_is_told_beside_the_inputs_is_no_part_of_the_key() -> None:
    assert replace(RUN, told=Told()).key() == RUN.key()


def test_files_are_counted_and_directories_only_if_they_changed() -> None:
    before = [InputFile("d", "dir", 0o755, ""), *(InputFile(f"d/{n}", "file", 0o644, "1") for n in range(3))]
    assert explain_files(before, before) == ()
    now = [before[0], before[1], before[2]._replace(content="2")]
    assert explain_files(before, now)[0].text == "2 of 3 files changed: d/1 (content), d/2 (removed)"
    assert explain_files(before, [before[0]._replace(mode=0o700), *before[1:]])[0].text == (
        "1 of 4 files changed: d (mode 755→700)"
    )
    assert explain_files([], [InputFile("", "dir", 0o755, "")])[0].text == "1 of 1 files changed: . (added)"
    assert explain_files(before, [])[0].details == ("d (removed)", *(f"d/{n} (removed)" for n in range(3)))


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
