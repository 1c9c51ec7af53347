"""What is wrong with an instruction, before anybody says where it stands."""

from __future__ import annotations


class InstructionError(ValueError):
    """An instruction that means nothing; who knows its lines turns it into a DockerfileError."""
