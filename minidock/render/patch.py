"""What became of files as a patch that `git apply` and patch(1) take.

Modes, links and contents stand in it as git has them. What git has no words for (owners, directories, devices,
extended attributes) stands in lines that begin with ``#``, before a file's header: both programs pass over them there,
while one more line in a header would end it.
Source: git-diff, "Generating patch text with -p".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from minidock.core.entries import BLOCK, CHAR, DIRECTORY, FIFO, FILE, SYMLINK, Entry
from minidock.core.file_patch import MOST_BYTES, FilePatch
from minidock.core.text_diff import hunks
from minidock.core.times import format_time

_SPECIAL = {CHAR: "character device", BLOCK: "block device", FIFO: "pipe", DIRECTORY: "directory"}
_NOWHERE = "/dev/null"
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
_ESCAPES |= {'"': '\\"', "\\": "\\\\"}


def patch_lines(patch: FilePatch) -> Iterator[str]:
    """Yield the lines about one file, without their newlines; nothing for a directory that only its files changed."""
    entry = patch.after or patch.before
    assert entry is not None
    if patch.problem:
        yield f"# {quoted(patch.path)}: {patch.problem}"
    elif entry.kind in (FILE, SYMLINK):
        yield from _file(patch)
    else:
        yield from _special(patch, entry)


def quoted(path: str) -> str:
    """Return a path as git writes it: in quotes, with escapes, if it has characters that would be misread."""
    text = "".join(map(_escaped, path))
    return path if text == path else f'"{text}"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xDC80 <= code <= 0xDCFF:
        return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
    return character


def _file(patch: FilePatch) -> Iterator[str]:
    before, after = patch.before, patch.after
    remarks = [*_owner_remarks(patch), *_remarks(patch)]
    header = list(_header(before, after))
    if before and after and patch.has_same_content and not header:
        yield from remarks or _only_times(patch.path, before, after)
        return
    yield from remarks
    yield f"diff --git {quoted(f'a/{patch.path}')} {quoted(f'b/{patch.path}')}"
    yield from header
    if not patch.has_same_content:
        yield from _content(patch)


def _header(before: Entry | None, after: Entry | None) -> Iterator[str]:
    if before is None or after is None:
        entry = before or after
        assert entry is not None
        yield f"{'new' if before is None else 'deleted'} file mode {_mode(entry)}"
        return
    if _mode(before) != _mode(after):
        yield f"old mode {_mode(before)}"
        yield f"new mode {_mode(after)}"


def _content(patch: FilePatch) -> Iterator[str]:
    old = _NOWHERE if patch.before is None else quoted(f"a/{patch.path}")
    new = _NOWHERE if patch.after is None else quoted(f"b/{patch.path}")
    if patch.texts is None:
        yield f"Binary files {old} and {new} differ"
        return
    lines = hunks(*patch.texts)
    first = next(lines, None)
    if first is not None:
        yield f"--- {old}"
        yield f"+++ {new}"
        yield first
        yield from lines


def _remarks(patch: FilePatch) -> Iterator[str]:
    """Yield what git cannot tell of a file."""
    before, after = patch.before, patch.after
    if after is not None and after.linkname and after.kind == FILE and (before is None or not before.linkname):
        yield f"# {quoted(patch.path)}: hard link to {quoted(after.linkname)}"
    if patch.texts is None and not patch.has_same_content:
        pairs = zip((before, after), patch.sizes, strict=True)
        sizes = " -> ".join(f"{size:,}" for entry, size in pairs if entry is not None)
        what = "too large to be compared by lines" if max(patch.sizes) > MOST_BYTES else "no text"
        yield f"# {quoted(patch.path)}: {what}, {sizes} bytes"
    yield from _xattr_remarks(patch)


def _xattr_remarks(patch: FilePatch) -> Iterator[str]:
    old, new = (dict(entry.xattrs) if entry is not None else {} for entry in (patch.before, patch.after))
    if patch.after is None:
        return
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            what = "added" if name not in old else "changed" if name in new else "removed"
            yield f"# {quoted(patch.path)}: extended attribute {quoted(name)} {what}"


def _owner_remarks(patch: FilePatch) -> Iterator[str]:
    """Yield a file's owner if it is another one now, or not root's from the beginning."""
    old = _owner(patch.before) if patch.before is not None else ""
    new = _owner(patch.after) if patch.after is not None else ""
    if new and new != (old or "0:0"):
        yield f"# {quoted(patch.path)}: owner {f'{old} -> {new}' if old else new}"


def _only_times(path: str, before: Entry, after: Entry) -> Iterator[str]:
    if before.mtime != after.mtime:
        old, new = (format_time(datetime.fromtimestamp(entry.mtime, UTC)) for entry in (before, after))
        yield f"# {quoted(path)}: nothing but its time changed, {old} -> {new}"
    else:
        yield f"# {quoted(path)}: nothing changed"


def _special(patch: FilePatch, entry: Entry) -> Iterator[str]:
    before, after = patch.before, patch.after
    what = f"# {quoted(patch.path)}: {_SPECIAL[entry.kind]}"
    if before is not None and after is not None:
        pairs = (
            ("mode", _bits(before), _bits(after)),
            ("owner", _owner(before), _owner(after)),
            ("device", _device(before), _device(after)),
        )
        changed = [f"{name} {old} -> {new}" for name, old, new in pairs if old != new]
        if changed:
            yield f"{what}, {', '.join(changed)}"
        yield from _xattr_remarks(patch)
        return
    device = f" {_device(entry)}" if _device(entry) else ""
    yield f"{what}{device} {'deleted' if after is None else f'added, mode {_bits(entry)}, owner {_owner(entry)}'}"
    yield from _xattr_remarks(patch)


def _mode(entry: Entry) -> str:
    return "120000" if entry.kind == SYMLINK else f"10{entry.mode:04o}"


def _bits(entry: Entry) -> str:
    return f"{entry.mode:o}"


def _owner(entry: Entry) -> str:
    return f"{entry.uid}:{entry.gid}"


def _device(entry: Entry) -> str:
    return f"{entry.major}:{entry.minor}" if entry.kind in (CHAR, BLOCK) else ""
