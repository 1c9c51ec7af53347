"""What of the language is not built yet, said by name instead of being half done."""

from __future__ import annotations

from minidock.core.dockerfile.model import Instruction, Run


def unsupported(instruction: Instruction) -> str | None:
    """Return the name of the part of ``instruction`` (variables expanded) that is not supported yet, or None."""
    match instruction:
        case Run():
            return _first(
                ("RUN --security=insecure", instruction.security == "insecure"),
                ("RUN --device", instruction.devices),
            )
        case _:
            return None


def _first(*parts: tuple[str, object]) -> str | None:
    return next((name for name, is_used in parts if is_used), None)
