"""What of the language is not built yet, said by name instead of being half done."""

from __future__ import annotations

from minidock.core.dockerfile.model import Add, Copy, Healthcheck, Instruction, Onbuild, Run

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")


def unsupported(instruction: Instruction) -> str | None:
    """Return the name of the part of ``instruction`` (variables expanded) that is not supported yet, or None."""
    match instruction:
        case Run():
            return _first(
                ("RUN --security=insecure", instruction.security == "insecure"),
                ("RUN --device", instruction.devices),
            )
        case Copy():
            return _first(
                ("COPY --link", instruction.link),
                ("COPY --parents", instruction.parents),
                ("COPY --exclude", instruction.excludes),
                ("a here-document in COPY", instruction.heredocs),
                ("COPY --chmod with letters", not _is_octal(instruction.chmod)),
            )
        case Add():
            return _first(
                ("ADD --link", instruction.link),
                ("ADD --exclude", instruction.excludes),
                ("ADD --checksum", instruction.checksum),
                ("ADD --unpack", instruction.unpack is not None),
                ("a here-document in ADD", instruction.heredocs),
                ("ADD of a URL or git repository", any(source.startswith(_REMOTE) for source in instruction.sources)),
                ("ADD --chmod with letters", not _is_octal(instruction.chmod)),
            )
        case Healthcheck():
            return "HEALTHCHECK"
        case Onbuild():
            return "ONBUILD"
        case _:
            return None


def _first(*parts: tuple[str, object]) -> str | None:
    return next((name for name, is_used in parts if is_used), None)


def _is_octal(text: str) -> bool:
    return all(character in "01234567" for character in text)
