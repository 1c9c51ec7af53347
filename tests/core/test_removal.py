"""Docker's rules of `rmi`, and its refusals word for word."""

from __future__ import annotations

import pytest

from minidock.core.digest import Digest
from minidock.core.removal import Candidate, ImageUse, Removal, decide
from minidock.errors import ImageConflict

ID = Digest("f55da048b132" + "0" * 52)
STOPPED = ImageUse("4ec693f1cc28" + "1" * 52, is_running=False)
RUNNING = ImageUse("770d34f4fe30" + "2" * 52, is_running=True)
REFERENCED = (
    'conflict: unable to remove repository reference "app:2" (must force) - '
    "container 4ec693f1cc28 is using its referenced image f55da048b132"
)


@pytest.mark.parametrize(
    ("image", "name", "is_forced", "expected"),
    [
        (Candidate(ID, ("app:2",)), "app:2", False, Removal(("app:2",), True)),
        (Candidate(ID, ("app:2", "app:x")), "app:2", False, Removal(("app:2",), False)),
        (Candidate(ID, ("app:2", "app:x"), (RUNNING,)), "app:2", False, Removal(("app:2",), False)),
        (Candidate(ID, ("app:2",), (STOPPED,)), "app:2", True, Removal(("app:2",), True)),
        (Candidate(ID, ("app:2",), (RUNNING,)), "app:2", True, Removal(("app:2",), False)),
        (Candidate(ID, ("app:2",)), None, False, Removal(("app:2",), True)),
        (Candidate(ID, ("app:2", "b:1")), None, True, Removal(("app:2", "b:1"), True)),
        (Candidate(ID, ()), None, False, Removal((), True)),
        (Candidate(ID, (), (STOPPED,)), None, True, Removal((), True)),
        (Candidate(ID, ("app:2",), has_children=True), None, False, Removal(("app:2",), True)),
        (Candidate(ID, (), is_listed=False), None, False, Removal((), True)),
    ],
)
def test_what_goes(image: Candidate, name: str | None, is_forced: bool, expected: Removal) -> None:
    assert decide(image, name, is_forced=is_forced) == expected


@pytest.mark.parametrize(
    ("image", "name", "is_forced", "message"),
    [
        (Candidate(ID, ("app:2",), (STOPPED,)), "app:2", False, REFERENCED),
        (
            Candidate(ID, ("app:2",), (RUNNING,)),
            None,
            True,
            "conflict: unable to delete f55da048b132 (cannot be forced) - "
            "image is being used by running container 770d34f4fe30",
        ),
        (
            Candidate(ID, ("app:2",), (STOPPED,)),
            None,
            False,
            "conflict: unable to delete f55da048b132 (must be forced) - "
            "image is being used by stopped container 4ec693f1cc28",
        ),
        (
            Candidate(ID, ("app:2", "app:x")),
            None,
            False,
            "conflict: unable to delete f55da048b132 (must be forced) - image is referenced in multiple repositories",
        ),
        (
            Candidate(ID, (), is_listed=False, has_children=True),
            None,
            True,
            "conflict: unable to delete f55da048b132 (cannot be forced) - image has dependent child images",
        ),
    ],
)
def test_what_is_refused(image: Candidate, name: str | None, is_forced: bool, message: str) -> None:
    with pytest.raises(ImageConflict) as caught:
        decide(image, name, is_forced=is_forced)
    assert str(caught.value) == message
