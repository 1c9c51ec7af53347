"""What --chmod says: a mode in octal, or changes of the mode that a file has.

Grammar: octal digits up to 7777, or clauses joined by commas, each ``[ugoa...]`` and one or more of ``+-=`` with
letters of ``rwxXst``, or of ``ugo``, whose permissions are taken over.
Source: BSD, setmode(3); BuildKit, tonistiigi/dchapes-mode.
"""

from __future__ import annotations

from minidock.core.dataclass import dataclass
from minidock.errors import BuildError

_SET_ID, _STICKY = 0o6000, 0o1000
_ALL = 0o6777
_WHO = {"a": _ALL, "u": 0o4700, "g": 0o2070, "o": 0o007}
_PERMISSIONS = {"r": 0o444, "w": 0o222, "x": 0o111}
_SHIFTS = {"u": 6, "g": 3, "o": 0}


@dataclass(frozen=True, slots=True)
class _Change:
    """One step: ``kind`` is ``+`` or ``-`` (set or clear ``bits``), ``X`` (set them where anything is executable), or
    the class whose permissions are copied to ``who`` the way that ``operator`` says."""

    kind: str
    bits: int = 0
    who: int = 0
    operator: str = ""


@dataclass(frozen=True, slots=True)
class ModeChange:
    """A parsed --chmod. ``octal`` is None for one with letters."""

    octal: int | None
    changes: tuple[_Change, ...] = ()

    @classmethod
    def parse(cls, text: str, umask: int = 0) -> ModeChange:
        """Return what ``text`` says; ``umask`` limits clauses that name nobody. Raises: BuildError."""
        if text[:1].isascii() and text[:1].isdigit():
            if not all(character in "01234567" for character in text) or int(text, 8) > 0o7777:
                raise BuildError(
                    f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
                    hint="write the mode like 0644 or u=rw,go=r",
                )
            return cls(int(text, 8))
        changes: list[_Change] = []
        for clause in text.split(","):
            changes += _clause(clause, text, ~umask & 0o7777)
        return cls(None, tuple(changes))

    @property
    def of_parents(self) -> int:
        """The mode of directories that are made on the way: letters do not count there, nor bits above 0777."""
        return 0o755 if self.octal is None else self.octal & 0o777

    def apply(self, mode: int, *, is_directory: bool) -> int:
        """Return the mode of something that has ``mode``."""
        if self.octal is not None:
            return self.octal
        result = mode
        for change in self.changes:
            if change.kind == "+":
                result |= change.bits
            elif change.kind == "-":
                result &= ~change.bits
            elif change.kind == "X":
                result |= change.bits if is_directory or mode & 0o111 else 0
            else:
                result = _copied(result, change)
        return result


def _clause(clause: str, text: str, mask: int) -> list[_Change]:
    position, who = 0, 0
    while position < len(clause) and clause[position] in _WHO:
        who |= _WHO[clause[position]]
        position += 1
    if position == len(clause):
        raise _syntax_error(text)
    changes: list[_Change] = []
    while position < len(clause):
        operator = clause[position]
        if operator not in "+-=":
            raise _syntax_error(text)
        end = position + 1
        while end < len(clause) and clause[end] in "rwxXstugo":
            end += 1
        changes += _operation(operator, clause[position + 1 : end], who, mask)
        position = end
    return changes


def _operation(operator: str, letters: str, who: int, mask: int) -> list[_Change]:
    changes: list[_Change] = []
    bits = 0
    has_conditional_x = has_replaced = False

    def flush() -> None:
        nonlocal bits, has_conditional_x, has_replaced
        allowed = who or mask
        if bits or (operator == "=" and not has_replaced):
            if operator == "=":
                changes.append(_Change("-", who or _ALL))
                has_replaced = True
            changes.append(_Change("-" if operator == "-" else "+", bits & allowed))
            bits = 0
        if has_conditional_x:
            changes.append(_Change("X", 0o111 & allowed))
            has_conditional_x = False

    for letter in letters:
        if letter in _SHIFTS:
            if operator == "=" and not bits:
                has_replaced = True
            flush()
            changes.append(_Change(letter, mask if not who else 0o7777, who or _ALL, operator))
        elif letter == "X":
            has_conditional_x = operator != "-"
        elif letter in _PERMISSIONS:
            bits |= _PERMISSIONS[letter]
        elif not who or who & ~0o007:  # others have neither set-id bits nor a sticky bit
            bits |= _SET_ID if letter == "s" else _STICKY
            who |= _STICKY if letter == "t" and who else 0
            mask |= _STICKY if letter == "t" else 0
    flush()
    return changes


def _copied(mode: int, change: _Change) -> int:
    value = mode >> _SHIFTS[change.kind] & 0o7
    for name, shift in _SHIFTS.items():
        if not change.who & _WHO[name] & 0o777:
            continue
        if change.operator != "+":
            cleared = 0o7 if change.operator == "=" else value
            mode &= ~(cleared << shift & change.bits)
        if change.operator != "-":
            mode |= value << shift & change.bits
    return mode


def _syntax_error(text: str) -> BuildError:
    return BuildError(
        f"invalid chmod parameter: '{text}': invalid syntax", hint="write the mode like 0644 or u=rw,go=r"
    )
