"""The keys that end being attached to a container and leave it alone."""

from __future__ import annotations

from minidock.errors import FlagError

DETACH_KEYS = "ctrl-p,ctrl-q"


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes that the keys send; none for an empty text, which switches detaching off.

    Grammar (docker's ``--detach-keys``): ``KEY[,KEY...]``; KEY is one character, or ``ctrl-`` and one of ``a``-``z``,
    ``@``, ``[``, ``\\``, ``]``, ``^``, ``_``.
    Raises: FlagError.
    """
    keys = bytearray()
    for key in text.split(",") if text else ():
        prefix, dash, letter = key.rpartition("ctrl-")
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif dash and not prefix and len(letter) == 1 and letter in "abcdefghijklmnopqrstuvwxyz@[\\]^_":
            keys.append(ord(letter.upper()) & 0x1F)
        else:
            raise FlagError(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(keys)


class DetachKeys:
    """Recognises a sequence of keys in what is typed; what could be its beginning is held back until that is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Return what is to be passed on of ``typed``, and whether the sequence is complete."""
        passed = bytearray()
        for byte in typed:
            if self._keys and byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._seen]
            self._seen = 0
            if self._keys and byte == self._keys[0] and len(self._keys) > 1:
                self._seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False
