"""What a build reports while it runs: frozen events, given one by one to an observer.

The engine makes them and never prints; `render.progress` shows them. ``number`` is a step's number in order of
appearance (the ``#N`` of the progress), ``seconds`` counts from the start of the step.
"""

from __future__ import annotations

from collections.abc import Callable

from minidock.core.dataclass import dataclass
from minidock.core.digest import Digest


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins; ``name`` reads like ``[2/4] RUN make`` or ``[internal] load build context``."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class StepStatus:
    """Something that a step has done, such as ``transferring context: 120.14kB done``."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a layer is that a step brings or takes away: ``done`` of ``total`` bytes; told often."""

    number: int
    item: str
    text: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StepOutput:
    """One line that the process of a step printed, without its line end."""

    number: int
    seconds: float
    line: str


@dataclass(frozen=True, slots=True)
class StepReason:
    """Why a step could not come from the cache, in one line."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class StepCached:
    """A step ended with a result of an earlier build; ``image_id`` is None if the step makes no image."""

    number: int
    image_id: Digest | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well; ``image_id`` is None if the step makes no image."""

    number: int
    seconds: float
    image_id: Digest | None


@dataclass(frozen=True, slots=True)
class StepCanceled:
    """A step was given up because another one failed."""

    number: int


@dataclass(frozen=True, slots=True)
class StepError:
    """A step failed; the error that is raised afterwards says more."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class BuildWarning:
    """Something doubtful in a Dockerfile that does not stop the build; ``line`` is 0 if no line is to blame."""

    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class StoreWaiting:
    """The build waits for another process that uses the store."""

    text: str


Event = (
    StepStarted
    | StepStatus
    | StepProgress
    | StepOutput
    | StepReason
    | StepCached
    | StepDone
    | StepCanceled
    | StepError
    | BuildWarning
    | StoreWaiting
)
Observer = Callable[[Event], None]
