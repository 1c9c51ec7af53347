"""The members of a large tar on the way to entries, in a temporary database: memory stays small however many there are.

What becomes of them is what `members` makes of few; a test compares both.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from minidock.core.entries import (
    DIRECTORY,
    HARDLINK,
    OPAQUE,
    WHITEOUT,
    Entry,
    parent_of,
    resolve,
)
from minidock.errors import StoreError, TarError
from minidock.store.link_targets import MOST_ROUNDS, comes_later, moved_path, target_of

_CACHE = 4 << 10  # KiB of the database in memory
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
CREATE TABLE entries (place INTEGER PRIMARY KEY, path BLOB, is_opaque INTEGER, kind TEXT, link BLOB, row BLOB);
CREATE UNIQUE INDEX by_path ON entries (path, is_opaque);
CREATE TABLE parents (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE moving (place INTEGER PRIMARY KEY, path BLOB);
"""
_BELOW = "{0}.path > CAST({1}.path || '/' AS BLOB) AND {0}.path < CAST({1}.path || '0' AS BLOB)"  # 0 comes after /
_OTHERS = f"SELECT path FROM entries WHERE is_opaque = 0 AND kind NOT IN ('{DIRECTORY}', '{WHITEOUT}')"
_ABOVE = f"""
    SELECT path FROM entries other WHERE is_opaque = 0 AND kind NOT IN ('{DIRECTORY}', '{WHITEOUT}') AND EXISTS (
        SELECT 1 FROM entries WHERE {_BELOW.format("entries", "other")})
"""
_REFILLED = f"""
    SELECT place, path FROM entries deleted WHERE kind = '{WHITEOUT}' AND EXISTS (
        SELECT 1 FROM entries WHERE {_BELOW.format("entries", "deleted")} AND kind NOT IN ('{WHITEOUT}', '{OPAQUE}'))
"""
_LOOSE_LINKS = f"""
    SELECT place FROM entries link WHERE kind = '{HARDLINK}' AND NOT EXISTS (
        SELECT 1 FROM entries WHERE path = link.link AND is_opaque = 0
        AND kind NOT IN ('{HARDLINK}', '{DIRECTORY}', '{WHITEOUT}')) ORDER BY place
"""
_EARLY_LINKS = f"""
    SELECT link.place FROM entries link JOIN entries target ON target.path = link.link AND target.is_opaque = 0
    WHERE link.kind = '{HARDLINK}' AND target.place > link.place ORDER BY link.place LIMIT 1
"""
_INCOMPLETE = f"""
    SELECT 1 FROM (SELECT path FROM parents UNION SELECT path FROM entries WHERE is_opaque = 1) needed
    WHERE path != X'' AND NOT EXISTS (
        SELECT 1 FROM entries WHERE path = needed.path AND is_opaque = 0 AND kind = '{DIRECTORY}') LIMIT 1
"""


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors of the database into one for users."""
    try:
        yield
    except sqlite3.Error as error:
        hint = "have room in $TMPDIR, or else in /var/tmp and /tmp"
        raise StoreError(f"no temporary file can hold the list of the members of a tar: {error}", hint=hint) from error


@contextmanager
def opened_spool(entries: Iterable[Entry]) -> Iterator[Spool]:
    """Give a spool that begins with ``entries``."""
    with closing(Spool()) as spool:
        for entry in entries:
            spool.put(entry)
        yield spool


class Spool:
    """Entries in the order of the tar: every name once after `settle`, and no link above one.

    ``has_parts`` tells whether a file has holes. Close it after use. Raises: TarError, sqlite3.Error.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, cached_statements=32)  # a file without a name
        self._database.executescript(_SCHEMA)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._database.execute("BEGIN")
        self._place = 0
        self._parent = ""
        self.has_parts = False

    def __iter__(self) -> Iterator[Entry]:
        for (row,) in self._database.execute("SELECT row FROM entries ORDER BY place"):
            yield _read(row)

    def put(self, entry: Entry) -> None:
        """Add an entry: the last one of a name counts, and a directory in the place of a deleted one begins empty."""
        self._place += 2  # there is room before it for one that empties it
        if entry.kind != DIRECTORY and not entry.is_deletion:
            self._forget_below(_raw(entry.path))  # whoever unpacks removes a directory here
        self.has_parts = self.has_parts or bool(entry.parts)
        self._put(entry, self._place)

    def _forget_below(self, path: bytes) -> None:
        below = "DELETE FROM entries WHERE path > ? AND path < ?"
        if self._database.execute(below, (path + b"/", path + b"0")).rowcount:
            self._forget_parents(path)

    def _forget_parents(self, path: bytes) -> None:
        at_or_below = "DELETE FROM parents WHERE path = ? OR path > ? AND path < ?"
        self._database.execute(at_or_below, (path, path + b"/", path + b"0"))
        self._parent = ""

    def _put(self, entry: Entry, place: int) -> None:
        try:
            self._insert(entry, place)
        except sqlite3.IntegrityError:
            which, values = "FROM entries WHERE path = ? AND is_opaque = ?", (_raw(entry.path), entry.kind == OPAQUE)
            before = _read(self._database.execute(f"SELECT row {which}", values).fetchone()[0])
            self._database.execute(f"DELETE {which}", values)
            if {before.kind, entry.kind} == {WHITEOUT, DIRECTORY}:
                self._empty(entry.path, place)
                entry = entry if entry.kind == DIRECTORY else before
            self._insert(entry, place)

    def _insert(self, entry: Entry, place: int) -> None:
        link = _raw(entry.linkname) if entry.kind == HARDLINK else None
        values = (place, _raw(entry.path), entry.kind == OPAQUE, entry.kind, link, marshal.dumps(tuple(entry)))
        self._database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", values)
        parent = parent_of(entry.path)
        if parent != self._parent:
            self._parent = parent
            self._database.execute("INSERT OR IGNORE INTO parents VALUES (?)", (_raw(parent),))

    def _empty(self, path: str, place: int) -> None:
        self._database.execute("DELETE FROM entries WHERE path = ? AND is_opaque = 1", (_raw(path),))
        self._insert(Entry(path, OPAQUE), place - 1)

    def get(self, path: str) -> Entry | None:
        """Return what stands at a path and is not deleted there."""
        query = "SELECT row FROM entries WHERE path = ? AND is_opaque = 0"
        found = self._database.execute(query, (_raw(path),)).fetchone()
        entry = _read(found[0]) if found else None
        return None if entry is None or entry.is_deletion else entry

    def resolve(self, path: str) -> str:
        """Return the real path of ``path``. Raises: StoreError."""
        return resolve(self.get, path)

    def settle(self) -> None:
        """Follow every link above a name, and every hard link. Raises: TarError."""
        for place, path in self._kept(_REFILLED):
            self._replace(place, Entry(_text(path), DIRECTORY, 0o755))
            self._empty(_text(path), place)
        for _ in range(MOST_ROUNDS):
            if not self._move():
                break
        else:
            raise TarError(f"more than {MOST_ROUNDS} links that are below other links")
        self._database.execute(f"DELETE FROM entries WHERE is_opaque = 1 AND path IN ({_OTHERS})")
        for (place,) in self._kept(_LOOSE_LINKS):
            link = self._at(place)
            self._replace(place, link._replace(linkname=target_of(self, link)))
        for (place,) in self._database.execute(_EARLY_LINKS):
            raise comes_later(self._at(place))

    def _kept(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they are now, by place, whatever is changed meanwhile."""
        self._keep("kept", query)
        yield from self._database.execute("SELECT * FROM kept ORDER BY place")

    def _keep(self, name: str, query: str) -> None:
        self._database.execute(f"DROP TABLE IF EXISTS {name}")
        self._database.execute(f"CREATE TABLE {name} AS {query}")

    def _at(self, place: int) -> Entry:
        return _read(self._database.execute("SELECT row FROM entries WHERE place = ?", (place,)).fetchone()[0])

    def _replace(self, place: int, entry: Entry) -> None:
        self._database.execute("DELETE FROM entries WHERE place = ?", (place,))
        self._insert(entry, place)

    def _move(self) -> bool:
        """Put what stands below links where those lead, once; tell whether there was anything."""
        execute = self._database.execute
        self._keep("links", _ABOVE)
        if execute("SELECT 1 FROM links LIMIT 1").fetchone() is None:
            return False
        execute("DELETE FROM moving")
        for (place,) in self._kept(
            f"SELECT DISTINCT place FROM links CROSS JOIN entries ON {_BELOW.format('entries', 'links')}"
        ):
            execute("INSERT INTO moving VALUES (?, ?)", (place, _raw(moved_path(self, self._at(place)))))
        # What stands where something comes to be is put there once more, so that the last one counts.
        execute("INSERT OR IGNORE INTO moving SELECT e.place, e.path FROM moving m JOIN entries e ON e.path = m.path")
        self._keep("moved", "SELECT place, moving.path AS path, row FROM moving JOIN entries USING (place)")
        execute("DELETE FROM entries WHERE place IN (SELECT place FROM moving)")
        for (path,) in execute("SELECT path FROM links"):
            self._forget_parents(path)
        for place, path, row in execute("SELECT * FROM moved ORDER BY place"):
            self._put(_read(row)._replace(path=_text(path)), place)
        return True

    def has_complete_parents(self) -> bool:
        """Whether every entry's parent directory is an entry too."""
        return self._database.execute(_INCOMPLETE).fetchone() is None

    def close(self) -> None:
        """Remove the database."""
        self._database.close()


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _read(row: bytes) -> Entry:
    return Entry._make(marshal.loads(row))
