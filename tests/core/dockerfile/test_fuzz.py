"""Whatever a user writes, nothing but an error of ours comes of it, and soon.

``corpus.txt`` holds what a coverage-guided fuzzer found to reach different code (`tests.fuzz_targets`). The tests read
all of it, and what random changes make of it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import pytest

from minidock.core.dockerfile import instructions, parser, words
from minidock.core.dockerfile.glob import match
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.errors import DockerfileError
from tests.fuzz_targets import READERS, changed, corpus, dockerfile, one


def test_every_input_of_the_corpus_is_read_or_refused() -> None:
    for data in corpus():
        one(data)


def test_the_corpus_has_a_dockerfile_and_something_for_every_reader() -> None:
    chosen = {data[0] - 0x80 for data in corpus() if data}
    assert chosen >= set(range(len(READERS)))
    assert b"FROM a" in corpus()


def test_changed_inputs_are_read_or_refused() -> None:
    for data in changed(corpus(), 3_000, seed=1):
        one(data)


@pytest.mark.slow
def test_very_many_changed_inputs_are_read_or_refused() -> None:
    for data in changed(corpus(), 200_000, seed=2):
        one(data)


def _seconds(text: bytes) -> float:
    """Return the processor time of all that a build does with a file first, without what other tests left behind."""
    gc.collect()
    gc.freeze()
    start = time.process_time()
    dockerfile(text)
    spent = time.process_time() - start
    gc.unfreeze()
    return spent


def _nested(depth: int) -> bytes:
    return b"ENV x=" + b"${a:-" * depth + b"}" * depth + b"\n"


_MIXED = (
    b"RUN echo one && \\\n    echo two\n"
    b'COPY --chown=1:2 "a b" c /d/\n'
    b"ENV A=b C=${A:-d}\n"
    b'CMD ["a", "b"]\n'
    b"RUN <<EOF\nx\nEOF\n"
)
# What makes about a thousand lines or instructions of a kind, so that a few hundred of it are a long file.
_SHAPES: dict[str, Callable[[int], bytes]] = {
    "mixed": lambda count: b"FROM a\n" + _MIXED * 200 * count,
    "continuation": lambda count: b"FROM a\nRUN a" + b" \\\n# b\n\n  b" * 1_000 * count,
    "heredocs": lambda count: b"FROM a\n" + b"COPY <<E /x\n$a b\nE\n" * 1_000 * count,
    "heredoc": lambda count: b"FROM a\nCOPY <<E /x\n" + b"$a b\n" * 1_000 * count + b"E\n",
    "args": lambda count: b"FROM a\n" + b"".join(b"ARG a%d=${a%d:-x}\n" % (n + 1, n) for n in range(1_000 * count)),
    "global args": lambda count: (
        b"".join(b"ARG a%d=${a%d:-x}\n" % (n + 1, n) for n in range(1_000 * count)) + b"FROM a\n"
    ),
    "environment": lambda count: b"FROM a\n" + b"".join(b"ENV a%d=$a%d\n" % (n + 1, n) for n in range(1_000 * count)),
    "stages": lambda count: b"".join(b"FROM a AS s%d\nRUN x\n" % n for n in range(500 * count)),
    "chain of stages": lambda count: (
        b"FROM a AS s0\n"
        + b"".join(b"FROM s%d AS s%d\nCOPY --from=s%d a b\n" % (n, n + 1, n) for n in range(500 * count))
    ),
    "nested": lambda count: b"FROM a\n" + _nested(30) * 50 * count,
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_time_grows_with_the_length_only(shape: str) -> None:
    once, twice = _SHAPES[shape](2), _SHAPES[shape](4)
    # In turn, and the best of each: what else the machine does must not fall on one of them alone.
    pairs = [(_seconds(once), _seconds(twice)) for _ in range(3)]
    best_of_once, best_of_twice = (min(times) for times in zip(*pairs, strict=True))
    assert best_of_twice < 3 * best_of_once + 0.02  # the square would be 4; the slow test is stricter


@pytest.mark.slow
@pytest.mark.parametrize("shape", _SHAPES)
def test_very_long_files_are_read_in_time(shape: str) -> None:
    start = time.process_time()
    instructions.read(parser.parse(_SHAPES[shape](100)))
    assert time.process_time() - start < 5
    once, twice = _SHAPES[shape](25), _SHAPES[shape](50)
    # In pairs, of which one may fall on a moment at which the machine is half or twice as fast.
    pairs = [(_seconds(once), _seconds(twice)) for _ in range(3)]
    assert statistics.median(after / before for before, after in pairs) < 2.5, pairs


@pytest.mark.parametrize("depth", [100, 10_000])
def test_expansions_may_be_nested_as_deep_as_a_line_is_long(depth: int) -> None:
    one(b"FROM a\n" + _nested(depth))


@pytest.mark.parametrize(
    "text",
    ["*a*a*a*a*a*a*a*a*b", "**/a*/**/a*/**/a*/**/a*/**/b", "[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*b", "?*?*?*?*?*?*?*b"],
)
def test_patterns_with_many_wildcards_are_matched_soon(text: str) -> None:
    start = time.process_time()
    for path in ("a" * 200, "a/" * 100 + "a"):
        IgnoreRules.parse(text).is_ignored(path)
        match(text, path)
    words.expand(f"${{a#{text}}}${{a%{text}}}${{a//{text}/x}}", {"a": "a" * 200})
    assert time.process_time() - start < 1


def test_a_line_beyond_the_limit_is_refused() -> None:
    with pytest.raises(DockerfileError, match="dockerfile line greater than max allowed size of 65535") as caught:
        parser.parse(b"FROM a\nRUN " + b"x" * 70_000)
    assert caught.value.first == 2
