"""ADD: archives, flags, refusals."""

from tests.differential.case import Case

_TAR = {"in/": "", "in/file": "1", "top": "2", "ln@": "top", "noparent/deep/f": "3"}


def _add(name: str, *lines: str, files: dict[str, str] | None = None, base: str = "base", **fields: object) -> Case:
    text = "\n".join([f"FROM {base}", *lines, ""])
    given = {"archives": {"t.tar": _TAR}, **fields}
    return Case(f"add-{name}", text, files if files is not None else {"a": "A", "x/one": "1"}, **given)  # type: ignore


_PLACES = ("/n", "/n/", "/d", "/f", "/l-dir", "/l-dangling", "/l-out/n", ".", "/", "/l-file", "/lib", "/tmp/n")

CASES = (
    *(_add(f"archive-to{place.replace('/', '_')}", f"ADD t.tar {place}") for place in _PLACES),
    _add("file", "ADD a /n"),
    _add("directory", "ADD x /n"),
    _add("archive-chown", "ADD --chown=app t.tar /n/m/"),
    _add("archive-chmod", "ADD --chmod=700 t.tar /n/m/"),
    _add("archive-chmod-symbolic", "ADD --chmod=go= t.tar /n/"),
    _add("archive-link", "ADD --link t.tar /n/"),
    _add("archive-unpack-false", "ADD --unpack=false t.tar /n"),
    _add("archive-unpack-false-dir", "ADD --unpack=false t.tar /n/"),
    _add("archive-unpack-true", "ADD --unpack t.tar /n"),
    _add("archive-unpack-file", "ADD --unpack=true a /n"),
    _add("archive-wildcard", "ADD *.tar a /n/"),
    _add("archive-in-directory", "ADD . /n/"),
    _add("archive-linked", "ADD l /n", files={"l@": "t.tar"}),
    _add("archive-exclude", "ADD --exclude=in t.tar /n/"),
    _add("archive-twice", "ADD t.tar t.tar /n/"),
    _add(
        "archive-over-links", "ADD t.tar /", archives={"t.tar": {"l-dir/q": "1", "l-file": "2", "lib/z": "3", "d/": ""}}
    ),
    _add("archive-file-over-own-dir", "ADD t.tar /n/", archives={"t.tar": {"q/a/b": "1", "q": "2"}}),
    _add("archive-link-over-own-dir", "ADD t.tar /n/", archives={"t.tar": {"q/a": "1", "q@": "z", "z/": ""}}),
    _add("archive-dir-over-own-file", "ADD t.tar /n/", archives={"t.tar": {"q": "2", "q/": ""}}),
    _add("archive-below-own-file", "ADD t.tar /n/", archives={"t.tar": {"q": "2", "q/a": "1"}}),
    _add("archive-dir-over-file", "ADD t.tar /", archives={"t.tar": {"f/": "", "f/q": "1"}}),
    _add("archive-file-over-dir", "ADD t.tar /", archives={"t.tar": {"d": "1"}}),
    _add("archive-link-over-dir", "ADD t.tar /", archives={"t.tar": {"d@": "f"}}),
    _add("archive-dotdot", "ADD t.tar /n/", archives={"t.tar": {"../../q": "1"}}),
    _add("archive-absolute", "ADD t.tar /n/", archives={"t.tar": {"/q": "1"}}),
    _add("archive-through-own-link", "ADD t.tar /n/", archives={"t.tar": {"o@": "/d", "o/q": "1"}}),
    _add("archive-whiteout-name", "ADD t.tar /n/", archives={"t.tar": {".wh.q": "1", "r": "2"}}),
    _add("archive-empty", "ADD t.tar /n/", archives={"t.tar": {}}),
    _add("not-an-archive", "ADD t.tar /n/", files={"t.tar": "no tar"}, archives={}),
    _add("parents", "ADD --parents x/one /n/"),
    _add("from", "ADD --from=base /f /n/"),
    _add("exclude", "ADD --exclude=one x /n/"),
    _add("checksum-local", "ADD --checksum=sha256:" + "0" * 64 + " a /n"),
    _add("checksum-bad", "ADD --checksum=nothing a /n"),
    _add("keep-git-dir-local", "ADD --keep-git-dir a /n"),
    _add("keep-git-dir-bad", "ADD --keep-git-dir=perhaps a /n"),
    _add("url-exclude", "ADD --exclude=q http://127.0.0.1:1/x /n"),
    _add("missing", "ADD none /n"),
    _add("github-word", "ADD github.com/a/b /n"),
    _add("heredoc", "ADD <<E /n", "text $HOME", "E"),
    _add("scratch", "ADD t.tar /", base="scratch"),
)
