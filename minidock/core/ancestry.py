"""Which images are steps of which: an image's steps are images too, with the beginning of its layers and history."""

from __future__ import annotations

from minidock.core.config import ImageConfig


def is_step_of(step: ImageConfig, image: ImageConfig) -> bool:
    """Whether ``image`` was built on ``step``, or is it: its layers and history begin with those of ``step``."""
    layers, entries = len(step.diff_ids), len(step.history)
    return (
        step.diff_ids == image.diff_ids[:layers]
        and step.history == image.history[:entries]
        and (layers > 0 or entries > 0)
    )
