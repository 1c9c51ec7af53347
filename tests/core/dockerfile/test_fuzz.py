"""Whatever stands in a Dockerfile, nothing but an error of ours comes of it, and soon.

``corpus.txt`` holds what a coverage-guided fuzzer (atheris, 250,000 inputs) found to reach different code, one input a
line in base64. The tests read all of it, and what random changes make of it.
"""

from __future__ import annotations

import base64
import gc
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minidock.core.dockerfile import instructions, parser, stages
from minidock.core.dockerfile.checks.check import check, options_of
from minidock.errors import DockerfileError, MinidockError

CORPUS = Path(__file__).with_name("corpus.txt")
PREDEFINED = {
    f"{side}{name}": value
    for side in ("TARGET", "BUILD")
    for name, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"), ("VARIANT", ""))
}
WORDS = (
    *(
        b"FROM a AS b\n",
        b"ARG x=1\n",
        b"RUN <<E\n",
        b"E\n",
        b"COPY --from=b",
        b"--mount=type=",
        b"ONBUILD ",
        b"--chmod=",
    ),
    *(b"${x:-", b"${a/b/", b"}", b"$", b"\\\n", b'["', b'"]', b"'", b'"', b"#", b"# escape=`\n"),
    *(b"\xff", b"\x00", b"\r\n", b"\t"),
)


def survives(data: bytes) -> None:
    """Do with a Dockerfile all that can be done without a store."""
    try:
        dockerfile = parser.parse(data)
        items = instructions.read(dockerfile)
        plan = stages.split(dockerfile, items, {}, PREDEFINED)
        wanted = range(len(plan.stages))
        options = options_of(dockerfile, {})
        check(
            plan, items, wanted, options, build_args={}, predefined=PREDEFINED, ignore=None, base_of=lambda name: None
        )
        stages.needed(plan, stages.resolve_target(plan, None))
    except MinidockError:
        return


def corpus() -> list[bytes]:
    return [base64.b64decode(line) for line in CORPUS.read_text().splitlines()]


def changed(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield inputs with something cut out, doubled, replaced, put in, or taken from another input."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 6)):
            start = chance.randint(0, len(data))
            end = min(len(data), start + chance.randint(0, 12))
            other = chance.choice(inputs)
            cut = chance.randint(0, len(other))
            piece = (
                b"",
                bytes(data[start:end]) * 2,
                chance.choice(WORDS),
                other[cut : cut + 20],
                bytes([chance.randint(0, 255)]),
            )
            data[start:end] = chance.choice(piece)
        yield bytes(data)


def test_every_input_of_the_corpus_is_read_or_refused() -> None:
    inputs = corpus()
    assert len(inputs) > 100
    for data in inputs:
        survives(data)


def test_changed_inputs_are_read_or_refused() -> None:
    for data in changed(corpus(), 3_000, seed=1):
        survives(data)


@pytest.mark.slow
def test_very_many_changed_inputs_are_read_or_refused() -> None:
    for data in changed(corpus(), 200_000, seed=2):
        survives(data)


def _seconds(text: bytes) -> float:
    """Return the processor time that reading takes, without what objects of other tests cost the collector."""
    gc.collect()
    gc.freeze()
    start = time.process_time()
    instructions.read(parser.parse(text))
    spent = time.process_time() - start
    gc.unfreeze()
    return spent


@pytest.mark.slow
def test_time_grows_with_the_length_only() -> None:
    lines = [
        b"RUN echo one && \\\n    echo two\n",
        b'COPY --chown=1:2 "a b" c /d/\n',
        b"ENV A=b C=${A:-d}\n",
        b'CMD ["a", "b"]\n',
        b"RUN <<EOF\nx\nEOF\n",
    ]
    once = b"FROM a\n" + b"".join(lines) * 20_000
    twice = once + b"".join(lines) * 20_000
    # In turn, and the best of each: what else the machine does must not fall on one of them alone.
    pairs = [(_seconds(once), _seconds(twice)) for _ in range(3)]
    best_of_once, best_of_twice = (min(times) for times in zip(*pairs, strict=True))
    assert best_of_once < 5
    assert best_of_twice < 2.5 * best_of_once


def test_a_line_beyond_the_limit_is_refused() -> None:
    with pytest.raises(DockerfileError, match="dockerfile line greater than max allowed size of 65535") as caught:
        parser.parse(b"FROM a\nRUN " + b"x" * 70_000)
    assert caught.value.first == 2
