"""Plain progress, line by line."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from minidock.core.digest import Digest
from minidock.core.events import (
    BuildWarning,
    Event,
    StepCached,
    StepDone,
    StepError,
    StepOutput,
    StepReason,
    StepStarted,
    StepStatus,
    StoreWaiting,
)
from minidock.render.progress import Kind, progress, stamp

IMAGE = Digest("3ccc9e9f22ff43c60d35b48fd55e12db23fad9eef9a989b8ba2d5faa6fd530ed")


def shown(events: Sequence[Event], kind: Kind = Kind.PLAIN) -> str:
    stream = io.StringIO()
    with progress(kind, stream) as observer:
        for event in events:
            observer(event)
    return stream.getvalue()


BUILD: Sequence[Event] = [
    StepStarted(1, "[internal] load build context"),
    StepStatus(1, "transferring context: 120.14kB 0.0s done"),
    StepDone(1, 0.04, None),
    StepStarted(2, "[1/3] FROM base:1"),
    StepCached(2, IMAGE),
    StepStarted(3, "[2/3] RUN make"),
    StepReason(3, "the command was `make all`"),
    StepOutput(3, 0.342, "cc -o app"),
    StepOutput(3, 12.3456, ""),
    StepDone(3, 12.38, IMAGE),
    StepStarted(4, "[3/3] COPY nope /"),
    StepError(4, '"/nope": not found'),
]


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.AUTO])
def test_a_build_reads_as_in_buildkit_with_the_images_of_its_steps(kind: Kind) -> None:
    assert shown(BUILD, kind) == (
        "#1 [internal] load build context\n"
        "#1 transferring context: 120.14kB 0.0s done\n"
        "#1 DONE 0.0s\n"
        "\n"
        "#2 [1/3] FROM base:1\n"
        "#2 image sha256:3ccc9e9f22ff\n"
        "#2 CACHED\n"
        "\n"
        "#3 [2/3] RUN make\n"
        "#3 why: the command was `make all`\n"
        "#3 0.342 cc -o app\n"
        "#3 12.35 \n"
        "#3 image sha256:3ccc9e9f22ff\n"
        "#3 DONE 12.4s\n"
        "\n"
        "#4 [3/3] COPY nope /\n"
        '#4 ERROR: "/nope": not found\n'
    )


def test_quiet_shows_nothing() -> None:
    assert shown([*BUILD, BuildWarning("w"), StoreWaiting("waits")], Kind.QUIET) == ""


def test_a_step_that_was_left_comes_back_under_its_heading() -> None:
    events: Sequence[Event] = [
        StepStarted(1, "[a 1/2] RUN one"),
        StepStarted(2, "[b 1/2] RUN two"),
        StepOutput(1, 1, "still here"),
        StepDone(1, 1, None),
        StepDone(2, 2, None),
    ]
    assert shown(events) == (
        "#1 [a 1/2] RUN one\n"
        "#1 ...\n"
        "\n"
        "#2 [b 1/2] RUN two\n"
        "#2 ...\n"
        "\n"
        "#1 [a 1/2] RUN one\n"
        "#1 1.000 still here\n"
        "#1 DONE 1.0s\n"
        "\n"
        "#2 [b 1/2] RUN two\n"
        "#2 DONE 2.0s\n"
    )


def test_warnings_show_in_their_step_and_again_at_the_end() -> None:
    events: Sequence[Event] = [
        StepStarted(1, "[internal] load build definition from Dockerfile"),
        BuildWarning("StageNameCasing: Stage name 'Foo' should be lowercase", 1),
        StepDone(1, 0, None),
        BuildWarning("no line"),
    ]
    assert shown(events) == (
        "#1 [internal] load build definition from Dockerfile\n"
        "#1 WARN: StageNameCasing: Stage name 'Foo' should be lowercase (line 1)\n"
        "#1 DONE 0.0s\n"
        "\n 2 warnings found:\n"
        " - StageNameCasing: Stage name 'Foo' should be lowercase (line 1)\n"
        " - no line\n"
    )


def test_waiting_for_the_store_is_said() -> None:
    assert shown([StoreWaiting("waiting for process 7")]) == "minidock: waiting for process 7\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.000"), (9.9994, "9.999"), (10, "10.00"), (99.5, "99.50"), (100, "100.0"), (4000, "4000.0")],
)
def test_the_longer_a_step_the_coarser_its_stamps(seconds: float, text: str) -> None:
    assert stamp(seconds) == text
