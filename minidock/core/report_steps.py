"""The steps of an image from its history, with what became of them in its last build."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from minidock.core.build_record import BuildRecord, StepFate
from minidock.core.config import HistoryEntry, ImageConfig
from minidock.core.digest import Digest
from minidock.core.image_steps import plain_instruction
from minidock.core.reason import Reason
from minidock.core.report import ReportStep
from minidock.core.secret_words import without_secrets
from minidock.core.step_lines import StepLines

_WIDEST = 2000  # characters of an instruction
_MOST_DETAILS = 20  # of a reason: changed files
_SETTING = re.compile(r"\b([A-Za-z_]\w*)=(\S+)")


def instruction(created_by: str, env: Iterable[str] = ()) -> str:
    """Return what an author wrote for a ``created_by``: without the shell, builders' remarks and secret values.

    ``env`` (``NAME=value``) are the image's variables; settings in the text itself count as well.
    """
    settings = [(name, value) for name, _, value in (item.partition("=") for item in env)]
    text = plain_instruction(without_secrets(created_by, [*settings, *_SETTING.findall(created_by)]))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def layer_instructions(config: ImageConfig) -> list[str]:
    """Return the instruction that made each layer, base first."""
    entries = (entry for entry in _entries(config) if not entry.is_empty_layer)
    return [_text(entry, config) for entry in entries]


def report_steps(
    config: ImageConfig,
    lines: Sequence[StepLines | None],
    sizes: Mapping[Digest, int],
    places: Mapping[Digest, int],
    build: BuildRecord | None,
) -> tuple[ReportStep, ...]:
    """Return one step for each entry of the history, oldest first; sizes and places of layers are by diff_id.

    ``lines`` are those of the first steps.
    """
    fates = _fates(build)
    layers = iter(config.diff_ids)
    steps = []
    for number, entry in enumerate(_entries(config)):
        where = lines[number] if number < len(lines) else None
        step = ReportStep(_text(entry, config), 0, None, entry.created or "", str(where or ""))
        steps.append(step if entry.is_empty_layer else _with_layer(step, next(layers), sizes, places, fates))
    return tuple(steps)


def _with_layer(
    step: ReportStep,
    diff_id: Digest,
    sizes: Mapping[Digest, int],
    places: Mapping[Digest, int],
    fates: Mapping[Digest, list[StepFate]],
) -> ReportStep:
    """Return a step with its layer; of ``fates`` of equal layers it takes the first that is left."""
    fate = fates[diff_id].pop(0) if fates.get(diff_id) else None
    step = replace(step, size=sizes[diff_id], layer=places[diff_id])
    return step if fate is None else replace(step, outcome=fate.outcome, reasons=tuple(map(_short, fate.reasons)))


def last_build(image_id: Digest, builds: Sequence[BuildRecord]) -> BuildRecord | None:
    """Return the last build that gave this image, of ``builds``, which are the newest first."""
    return next((build for build in builds if build.image_id == image_id), None)


def _text(entry: HistoryEntry, config: ImageConfig) -> str:
    """Return the instruction of an entry; of an import, which has none, the remark that it was given."""
    return instruction(entry.created_by or entry.comment, config.config.env)


def _entries(config: ImageConfig) -> Sequence[HistoryEntry]:
    return config.history or tuple(HistoryEntry() for _ in config.diff_ids)


def _fates(build: BuildRecord | None) -> dict[Digest, list[StepFate]]:
    """Return what became of steps by the layer they made, in order."""
    fates: dict[Digest, list[StepFate]] = {}
    for step in build.steps if build is not None else ():
        if step.diff_id is not None:
            fates.setdefault(step.diff_id, []).append(step)
    return fates


def _short(reason: Reason) -> Reason:
    details = reason.details[:_MOST_DETAILS]
    if len(reason.details) > len(details):
        details = (*details, f"and {len(reason.details) - len(details):,} more")
    return Reason(reason.text, details)
