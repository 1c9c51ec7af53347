"""Cases by chance, for finding what nobody thought of: the same seed gives the same ones.

``python -m tests.differential buildkit --generated=SEED:COUNT``; what differs becomes a case of its own in `cases`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from tests.differential.case import Case

_TREE = {
    "a": "A",
    "b.txt": "B",
    "a b": "blank",
    "x/one": "1",
    "x/.hid": "h",
    "x/deep/two": "2",
    "x/deep/er/three.txt": "3",
    "x/deep/er/.four": "4",
    "y/one": "y1",
    "y/z/two": "y2",
    "e/": "",
    "lf@": "a",
    "ld@": "x",
    "x/up@": "../a",
    "x/labs@": "/y",
    "[q]": "brackets",
    "s*r": "star",
}
_PARTS = ("a", "b.txt", "x", "y", "z", "e", "one", "deep", "er", "two", "three.txt", ".hid", "lf", "ld", "up", "labs")
_WILD = ("*", "?", "**", "*.txt", "[a-y]", "x*", "*e*", ".*", "[^a]*", "d??p", "\\[q]", "s\\*r", "[[]q]", "o?e", "***")


def generated_cases(seed: int, count: int) -> tuple[Case, ...]:
    """Return cases of all families in turn."""
    random = Random(seed)
    return tuple(_FAMILIES[n % len(_FAMILIES)](random, f"generated-{seed}-{n}") for n in range(count))


def _some(random: Random, *choices: str, most: int = 3, least: int = 1) -> list[str]:
    return [random.choice(choices) for _ in range(random.randint(least, most))]


def _path(random: Random) -> str:
    """Return a path of the tree, or one that is nearly one, or a pattern."""
    parts = _real_path(random).split("/")
    for number in range(len(parts)):
        chance = random.random()
        if chance < 0.25:
            parts[number] = random.choice(_WILD)
        elif chance < 0.32:
            parts[number] = random.choice(_PARTS)
        elif chance < 0.37:
            parts[number] += random.choice(("/.", "/..", "/"))
    return "/".join(parts) + random.choice(("", "", "", "", "/", "/."))


def _real_path(random: Random) -> str:
    return random.choice([name.rstrip("/@") for name in _TREE if " " not in name] + ["x", "x/deep", "y", "y/z", "."])


def _ignoring(random: Random, name: str) -> Case:
    lines = []
    for _ in range(random.randint(1, 6)):
        pattern = _path(random) if random.random() < 0.5 else _real_path(random)
        pattern = random.choice(("", "", "", "/", "./", "**/")) + pattern
        lines.append(random.choice(("", "", "!", "! ", " ", "#", "\\")) + pattern + random.choice(("", "", " ", "\r")))
    copied = random.choice((".", ".", "x", "*", "x/deep", "*/one", "--parents **/two", "--parents x", "y a"))
    return Case(name, f"FROM scratch\nCOPY {copied} /n/\n", {**_TREE, ".dockerignore": "\n".join(lines)})


_DESTINATIONS = (
    *("/n", "/n/", "/d", "/d/", "/d/sub", "/d/old", "/f", "/", ".", "./q", "../r", "/l-dir", "/l-dir/", "/l-dir/new"),
    *("/l-file", "/l-dangling", "/l-dangling/", "/l-out/k", "/lib/k", "/tmp", "/tmp/k/", "/d/..", "/d/../n/./m", "n/m"),
)


def _flags(random: Random) -> Iterator[str]:
    if random.random() < 0.25:
        yield f"--chown={random.choice(('app', '5:6', 'app:staff', '7', ':staff', '0:9', 'root:app'))}"
    if random.random() < 0.25:
        yield f"--chmod={_mode(random)}"
    if random.random() < 0.2:
        yield "--link"
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        excluded = _path(random) if random.random() < 0.6 else _real_path(random)
        yield f"--exclude={random.choice(('', '', '!'))}{excluded}"


def _mode(random: Random) -> str:
    if random.random() < 0.4:
        return random.choice(("", "0", "1", "2", "4", "6")) + "".join(random.choices("01234567", k=3))
    clauses = []
    for _ in range(random.randint(1, 3)):
        who = "".join(random.sample("ugoa", random.randint(0, 2)))
        actions = ""
        for _ in range(random.randint(1, 2)):
            operator = random.choice("+-=")
            letters = random.choice(("r", "w", "x", "X", "s", "t", "rw", "rX", "u", "g", "o", "", "rwxst"))
            letters = letters if who else letters.replace("t", "")  # what BuildKit's library has wrong
            actions += operator + (letters if operator != "-" else letters.replace("X", ""))
        clauses.append(who + actions)
    return ",".join(clauses)


def _copying(random: Random, name: str) -> Case:
    lines = ["FROM base"]
    if random.random() < 0.3:
        lines.append(f"WORKDIR {random.choice(('/w', '/l-dir', '/d/sub', 'rel', '/l-out/v'))}")
    for _ in range(random.choice((1, 1, 2))):
        flags = list(_flags(random))
        if random.random() < 0.35:
            flags.append("--parents")
        sources = [_path(random) if random.random() < 0.6 else _real_path(random) for _ in range(random.randint(1, 3))]
        if "--parents" in flags:
            sources = [source.replace("/", "/./", 1) if random.random() < 0.3 else source for source in sources]
        words = [*sources, random.choice(_DESTINATIONS)]
        shown = " ".join(words)
        if random.random() < 0.2:
            shown = "[" + ", ".join(f'"{word}"'.replace("\\", "\\\\") for word in words) + "]"
        lines.append(
            " ".join([random.choice(("COPY", "COPY", "ADD")) if "--parents" not in flags else "COPY", *flags, shown])
        )
    modes = {"x": random.choice((0o755, 0o700, 0o2775)), "a": random.choice((0o644, 0o755, 0o4711)), "x/deep": 0o750}
    return Case(name, "\n".join([*lines, ""]), _TREE, modes)


_IN_STAGE = (
    *("/d", "/d/old", "/f", "/l-dir", "/l-file", "/l-dir/*", "/d/*", "/*", "/l-abs/sub", "/l-out/old", "/n", "/n/x"),
    *("/n/*/two", "/n/./x/deep", "/d/./sub", "/n/**/two", "/lib", "l-dangling", "/n/l*", "/e*", "/n/ld/one", "/n/./ld"),
)


def _between_stages(random: Random, name: str) -> Case:
    flags = list(_flags(random))
    parents = random.random() < 0.3
    if parents:
        flags.append("--parents")
    sources = _some(random, *_IN_STAGE)
    text = f"FROM base AS one\nCOPY --chown=3:4 . /n/\nFROM {random.choice(('base', 'scratch'))}\n"
    text += f"COPY --from=one {' '.join(flags)} {' '.join(sources)} {random.choice(_DESTINATIONS)}\n"
    return Case(name, text, _TREE, {"x": 0o2775, "a": 0o4711})


_VALUES = (
    "a",
    "$a",
    "${a}",
    "$u",
    "'x y'",
    '"x $a"',
    "\\$a",
    "\\\\",
    "a\\ b",
    "*",
    "?",
    "/",
    "\\/",
    "b",
    ".",
    "{",
    "\\}",
    "-",
)
_OPERATORS = (":-", "-", ":+", "+", ":?", "?", "#", "##", "%", "%%", "/", "//")


def _expression(random: Random, depth: int = 2) -> str:
    if depth == 0 or random.random() < 0.3:
        return "".join(_some(random, *_VALUES))
    operator = random.choice(_OPERATORS)
    rest = _expression(random, depth - 1)
    if operator in ("/", "//"):
        rest += "/" + _expression(random, depth - 1)
    found = f"${{{random.choice(('a', 'p', 's', 'e', 'u', 'q'))}{operator}{rest}}}"
    return random.choice(("", "", "x", '"', "'")) + found + random.choice(("", "", "y", '"', "'"))


def _words(random: Random, name: str) -> Case:
    lines = ["# escape=`"] if random.random() < 0.15 else []
    lines += ["FROM base", "ENV a=1 e= p=/usr/local/lib:x.tar.gz s='a*b?c' q='x/y\\z'"]
    for _ in range(random.randint(1, 2)):
        expression = _expression(random)
        lines.append(
            random.choice(
                (
                    f"LABEL k={expression}",
                    f"LABEL k={expression}",
                    f"ENV v={expression}",
                    f"ENV v {expression}",
                    f"ARG v={expression}\nLABEL w=$v",
                    f"USER {expression}",
                    f"VOLUME {expression}",
                    f"EXPOSE {expression}",
                    f"WORKDIR /{expression}",
                    f"STOPSIGNAL {expression}",
                    f"COPY <<E /n\n{expression}\nE",
                    f'LABEL "{expression}"=v',
                    f"LABEL {expression}",
                )
            )
        )
    return Case(name, "\n".join([*lines, ""]))


_PIECES = (
    "\\\n",
    "\\ \n",
    "\\\n\n",
    "\\\n# c\n",
    "\\\n  # c \\\n",
    " ",
    "\t",
    "\\",
    "'",
    '"',
    "#",
    " # c",
    "\\\r\n",
    "\\\n \\\n",
)
_INSTRUCTIONS = (
    *(
        "LABEL a=1 b='c d'",
        "ENV a=1 b=2",
        "ENV a b c",
        "CMD echo a b",
        'CMD ["a", "b"]',
        "EXPOSE 80 81/udp",
        "USER app",
    ),
    *(
        "VOLUME /a /b",
        'VOLUME ["/a"]',
        "WORKDIR /w",
        "ENTRYPOINT a b",
        'SHELL ["s", "-c"]',
        "ARG q=1 r",
        "STOPSIGNAL 9",
    ),
    *(
        "HEALTHCHECK --interval=5s CMD a b",
        "ONBUILD LABEL a=1 b=2",
        "MAINTAINER a b",
        "COPY a /n",
        "COPY --chmod=600 a /m",
    ),
    *("COPY <<E /h\nx $a\nE", 'COPY ["a", "/j"]', "ONBUILD COPY <<E /o\nE", "LABEL x", "HEALTHCHECK NONE", "ADD a /k"),
)


def _text(random: Random, name: str) -> Case:
    head = _some(
        random, "# escape=`", "# check=skip=all", "#", "# c", "", "#!x", "# Escape=\\", "#  escape  =  `", least=0
    )
    text = "\n".join([*head, "FROM base"]) + "\n"
    for _ in range(random.randint(1, 3)):
        instruction = random.choice(_INSTRUCTIONS)
        for _ in range(random.randint(0, 3)):
            place = random.randint(0, len(instruction))
            instruction = instruction[:place] + random.choice(_PIECES) + instruction[place:]
        if random.random() < 0.3:
            instruction = instruction.replace("\\\n", "`\n")
        text += instruction + random.choice(("\n", "\n", "\n\n", "\r\n"))
    return Case(name, text, {"a": "A", "b": "B"})


def _scopes(random: Random, name: str) -> Case:
    lines: list[str] = []
    names = ("v", "w", "TARGETARCH", "x")
    values = ("1", "$v", "${w:-d}", "$TARGETARCH", "'$v'", "${x:+s}", "")

    def arg() -> str:
        words = [
            random.choice(names) + random.choice(("", "=" + random.choice(values))) for _ in range(random.randint(1, 2))
        ]
        return "ARG " + " ".join(words)

    lines += [arg() for _ in range(random.randint(0, 2))]
    stages: list[str] = []
    for number in range(random.randint(1, 3)):
        base = random.choice(["base", *stages])
        lines.append(f"FROM {base} AS s{number}")
        stages.append(f"s{number}")
        for _ in range(random.randint(1, 4)):
            lines.append(
                random.choice(
                    (
                        arg(),
                        f"ENV {random.choice(names)}={random.choice(values)}",
                        f"LABEL l{number}=[$v][$w][$x][$TARGETARCH]",
                        f"ONBUILD {arg()}",
                        f"ONBUILD ENV o{number}=$v",
                        f"ONBUILD LABEL ol{number}=[$v][$w]",
                        f"ENV e{number}=$v:$w",
                    )
                )
            )
    lines.append("LABEL end=[$v][$w][$x][$TARGETARCH]")
    args = {key: random.choice(("b", "")) for key in names if random.random() < 0.25}
    return Case(name, "\n".join([*lines, ""]), args=args)


def _unpacking(random: Random, name: str) -> Case:
    members: dict[str, str] = {}
    for _ in range(random.randint(1, 5)):
        path = "/".join(_some(random, "a", "b", "d", "l-dir", "f", "sub", "old", "lib", "q", most=3))
        kind = random.choice(("", "", "/", "@"))
        members[path + kind] = random.choice(("q", "../d", "/d", "d")) if kind == "@" else "" if kind else "content"
    flags = list(_flags(random))
    if random.random() < 0.2:
        flags.append(f"--unpack={random.choice(('true', 'false'))}")
    text = f"FROM base\nADD {' '.join(flags)} t.tar {random.choice(_DESTINATIONS)}\n"
    return Case(name, text, {"a": "A"}, archives={"t.tar": members})


_FAMILIES: tuple[Callable[[Random, str], Case], ...] = (
    _ignoring,
    _copying,
    _words,
    _text,
    _between_stages,
    _words,
    _scopes,
    _copying,
    _unpacking,
    _text,
)
