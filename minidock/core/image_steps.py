"""The steps that made an image: the instruction of each, its lines in the Dockerfile, and the layer that it left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from minidock.core.config import ImageConfig
from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest
from minidock.core.step_lines import StepLines

_ARGUMENTS = re.compile(r"\|(?P<count>[0-9]+) ")
_SHELL = "/bin/sh -c "
_NO_OPERATION = "#(nop) "  # how docker's first builder marked what made no layer
_BUILDKIT = " # buildkit"


@dataclass(frozen=True, slots=True)
class ImageStep:
    """One entry of an image's history; ``layer`` is the position (base 0) of the layer that it left, if it left one."""

    created_by: str
    lines: StepLines | None = None
    layer: int | None = None
    diff_id: Digest | None = None

    @property
    def instruction(self) -> str:
        """The instruction much as it was written: without what the shell form adds, and arguments of the build.

        The --from of a COPY, which history does not have, is there if it is known.
        """
        text = plain_instruction(self.created_by)
        if self.lines is None or self.lines.copied is None:
            return text
        return text.replace("COPY ", f"COPY --from={self.lines.copied.name} ", 1)


def image_steps(config: ImageConfig, lines: Sequence[StepLines | None] = ()) -> tuple[ImageStep, ...]:
    """Return the steps of an image, oldest first; of one without a history, one for each layer.

    ``lines`` are those of its first steps, in the same order.
    """
    if not config.history:
        return tuple(ImageStep("", None, layer, diff_id) for layer, diff_id in enumerate(config.diff_ids))
    steps = []
    layer = 0
    for number, entry in enumerate(config.history):
        where = lines[number] if number < len(lines) else None
        if entry.is_empty_layer:
            steps.append(ImageStep(entry.created_by, where))
        else:
            steps.append(ImageStep(entry.created_by, where, layer, config.diff_ids[layer]))
            layer += 1
    return tuple(steps)


def layer_steps(steps: Iterable[ImageStep]) -> tuple[ImageStep, ...]:
    """Return the step of each layer, base first."""
    return tuple(step for step in steps if step.layer is not None)


def plain_instruction(created_by: str) -> str:
    """Return what a history entry says was done, without the words that builders put around it.

    ``RUN |1 A=b /bin/sh -c make # buildkit`` and ``/bin/sh -c make`` are ``RUN make``.
    """
    text = created_by.removesuffix(_BUILDKIT).strip()
    has_run = text.startswith("RUN ")
    text = text.removeprefix("RUN ").lstrip()
    match = _ARGUMENTS.match(text)
    if match is not None and _SHELL in text:
        text, has_run = text[text.index(_SHELL) :], True
    if not text.startswith(_SHELL):
        return f"RUN {text}" if has_run else text
    text = text.removeprefix(_SHELL)
    return text.removeprefix(_NO_OPERATION).strip() if text.startswith(_NO_OPERATION) else f"RUN {text}"
