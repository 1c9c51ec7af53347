"""Our decorator does what the standard library's does, class by class."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from minidock.core import dataclass as ours

Decorator = Callable[..., Callable[[type], type]]


def declare(decorator: Decorator) -> dict[str, Any]:
    """Return one class of each kind that there is, declared with ``decorator``."""

    @decorator(frozen=True, slots=True)
    class Empty:
        """Nothing."""

    @decorator(frozen=True, slots=True)
    class One:
        only: tuple[int, ...] = ()

    @decorator(frozen=True, slots=True)
    class Frozen:
        """Of all kinds of fields."""

        KIND: ClassVar[str] = "kind"
        name: str
        size: int = 3
        items: list[str] = field(default_factory=list)
        hidden: str = field(default="h", repr=False)
        aside: int = field(default=0, compare=False)
        made: list[int] = field(init=False, default_factory=lambda: [1])
        fixed: int = field(init=False, default=7)

        @property
        def double(self) -> int:
            return 2 * self.size

        @classmethod
        def parse(cls, text: str) -> Any:
            return cls(text)

    @decorator(slots=True)
    class Changeable:
        name: str
        items: dict[str, int] = field(default_factory=dict)

        def __post_init__(self) -> None:
            self.name = self.name.upper()

    @decorator(frozen=True, slots=True)
    class Checked:
        name: str
        length: int = field(init=False)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("empty")
            object.__setattr__(self, "length", len(self.name))

    @decorator(frozen=True, slots=True)
    class Own:
        name: str

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "own"

    @decorator(frozen=True, slots=True)
    class Derived(Frozen):
        size: int = 4
        more: str = "more"

    @decorator(frozen=True, slots=True, kw_only=True)
    class Located:
        first: int = 0
        last: int

    @decorator(frozen=True, slots=True)
    class Placed(Located):
        name: str
        mode: int = 0
        extra: int = field(default=1, kw_only=True)

    return {cls.__name__: cls for cls in (Empty, One, Frozen, Changeable, Checked, Own, Derived, Located, Placed)}


STANDARD = declare(dataclass)
MADE: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Empty", (), {}),
    ("Empty", (1,), {}),
    ("One", (), {}),
    ("One", ((1, 2),), {}),
    ("Frozen", ("a",), {}),
    ("Frozen", ("a", 1, ["x"], "hide", 4), {}),
    ("Frozen", (), {"size": 2, "name": "b", "aside": 9}),
    ("Frozen", (), {}),
    ("Frozen", ("a",), {"name": "twice"}),
    ("Frozen", ("a",), {"unknown": 1}),
    ("Frozen", ("a",), {"made": [2]}),
    ("Changeable", ("a",), {}),
    ("Changeable", ("a", {"x": 1}), {}),
    ("Checked", ("abc",), {}),
    ("Checked", ("",), {}),
    ("Own", ("a",), {}),
    ("Located", (), {"last": 1}),
    ("Located", (), {"first": 1}),
    ("Located", (1, 2), {}),
    ("Placed", ("a",), {"last": 4}),
    ("Placed", ("a", 5), {"last": 4, "first": 2, "extra": 3}),
    ("Placed", ("a", 5, 6), {"last": 4}),
    ("Placed", (), {"last": 4}),
    ("Derived", ("a",), {}),
    ("Derived", ("a", 1, ["x"], "hide", 4, "most"), {}),
]


def told(classes: dict[str, Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return everything that can be seen of an object, or how it cannot be made."""
    cls = classes[name]
    try:
        one, two = cls(*copy.deepcopy(args), **copy.deepcopy(kwargs)), cls(*args, **kwargs)
    except (TypeError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "repr": repr(one),
        "values": {member.name: getattr(one, member.name) for member in fields(one)},
        "fields": [(member.name, member.type, member.init, member.repr, member.compare) for member in fields(cls)],
        "dict": asdict(one),
        "equal": (one == two, one != two, one == replace_any(one), one == "text", one.__eq__(3) is NotImplemented),
        "unequal": {
            member.name: outcome(lambda member=member: changed(one, member.name) == one) for member in fields(one)
        },
        "hash": outcome(lambda: hash(one) == hash(two)),
        "other": {other: outcome(lambda other=other: one == classes[other]("a")) for other in ("Frozen", "Derived")},
        "set": outcome(lambda: setattr(one, "name", "changed")) if hasattr(one, "name") else "",
        "new": "Error: " in outcome(lambda: setattr(one, "unknown", 1)),  # which one depends on Python's version
        "delete": outcome(lambda: delattr(one, "name")) if hasattr(one, "name") else "",
        "copied": copy.copy(two) == two and copy.deepcopy(two) == two,
        "slots": cls.__slots__,
        "dictless": hasattr(one, "__dict__"),
        "match": cls.__match_args__,
        "place": (cls.__module__, cls.__qualname__, cls.__name__, cls.__init__.__qualname__),
        "is": (is_dataclass(cls), is_dataclass(one), isinstance(one, cls)),
    }


def changed(one: Any, name: str) -> Any:
    return replace(one, **{name: "another"})


def replace_any(one: Any) -> Any:
    return replace(one, **{member.name: getattr(one, member.name) for member in fields(one)[:1]})


def outcome(action: Callable[[], object]) -> str:
    try:
        return repr(action())
    except (AttributeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(("name", "args", "kwargs"), MADE)
def test_classes_are_those_of_the_library(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    few, expected = declare(ours.dataclass), told(STANDARD, name, args, kwargs)
    assert told(few, name, args, kwargs) == expected
    for _ in range(100):
        (
            few["One"](),
            few["Frozen"]("a"),
            few["Changeable"]("a"),
            few["Checked"]("a"),
            few["Own"]("a"),
            few["Derived"]("a"),
        )
        few["Empty"](), few["Located"](last=1), few["Placed"]("a", last=1)
    assert told(few, name, args, kwargs) == expected


@ours.dataclass(frozen=True, slots=True)
class Loop:
    """Something that may hold itself, at the top of a module as pickle wants it."""

    name: str
    inner: list[Any] = field(default_factory=list)


def test_an_object_in_itself_shows_an_ellipsis() -> None:
    loop = Loop("a")
    loop.inner.append(loop)
    assert repr(loop) == "Loop(name='a', inner=[...])"


def test_objects_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(Loop("a", [1]))) == Loop("a", [1])


def test_what_is_closed_stays_closed_to_a_subclass() -> None:
    class Wider(Loop):
        pass

    wider = Wider("a")
    with pytest.raises(FrozenInstanceError):
        wider.name = "b"  # type: ignore[misc]
    assert (wider.name, wider == Wider("a"), wider == Loop("a")) == ("a", True, False)


def test_methods_that_are_called_first_through_a_subclass_are_made_for_the_right_class() -> None:
    @ours.dataclass(frozen=True, slots=True)
    class Base:
        name: str = "base"

    @ours.dataclass(frozen=True, slots=True)
    class Middle(Base):
        size: int = 1

    class Last(Middle):
        def __init__(self) -> None:
            super().__init__("last", 2)

    assert (Last().name, Last().size, Middle(), Base()) == ("last", 2, Middle("base", 1), Base("base"))


def test_several_threads_may_make_the_first_objects() -> None:
    class Slow(type):
        def __getattribute__(cls, name: str) -> Any:
            time.sleep(0.02 if name in ("one", "two", "three") else 0)
            return super().__getattribute__(name)

    @ours.dataclass(frozen=True, slots=True)
    class Three(metaclass=Slow):
        one: int = 1
        two: int = 2
        three: int = 3

    def make(delay: float) -> Three:
        time.sleep(delay)
        return Three()

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, (number / 100 for number in range(8))))
    assert [(three.one, three.two, three.three) for three in made] == [(1, 2, 3)] * 8


def test_classes_without_slots_are_not_taken() -> None:
    with pytest.raises(TypeError, match="without slots"):
        ours.dataclass(frozen=True, slots=False)


_DECLARE = """
import time
from {module} import dataclass
started = time.process_time()
for number in range(300):
    @dataclass(frozen=True, slots=True)
    class Thing:
        "A class."
        name: str
        size: int = 1
        words: tuple = ()
        text: str = ""
print(time.process_time() - started)
"""


def test_declaring_takes_less_than_half_of_the_librarys_time() -> None:
    def seconds(module: str) -> float:
        words = [sys.executable, "-c", _DECLARE.format(module=module)]
        return min(float(subprocess.run(words, capture_output=True, check=True).stdout) for _ in range(3))

    assert seconds(ours.__name__) < seconds(dataclasses.__name__) / 2
