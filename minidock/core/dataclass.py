"""`dataclass` of the standard library for classes with slots, made quick to declare.

The library writes up to eight methods of a class as text and compiles each when the class is declared: half a
millisecond a class, a quarter of every command's time. Here the text of ``__init__`` alone is written, once a class has
many objects; how objects compare, hash, show themselves and refuse changes is said once for all classes. What a field
is, its default, ``fields``, ``replace`` and ``asdict`` are the library's own.
"""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """Return a decorator like that of `dataclasses.dataclass`; all these classes have ``slots``.

        ``InitVar`` and classes with more options are for the library's decorator.
        """
        if not slots:
            raise TypeError("classes without slots are for the decorator of the standard library")
        return lambda declared: _declare(declared, is_frozen=frozen, is_by_keyword=kw_only)


Values = Callable[[Any], tuple[Any, ...]]

_FIRST_OBJECTS = 30


def _declare(declared: type, *, is_frozen: bool, is_by_keyword: bool) -> Any:
    """Return a class with slots for the fields of ``declared``, and the methods that it does not have itself."""
    if not declared.__doc__:
        declared.__doc__ = declared.__name__  # the library would show a signature, which takes longest of all
    own = {name for name, member in declared.__dict__.items() if member is not None}
    cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=is_by_keyword)(declared)
    members = dataclasses.fields(cls)
    values = _values([member.name for member in members if member.compare])
    methods: dict[str, Any] = {
        "__init__": _first_init(cls),
        "__eq__": _equality(values),
        "__repr__": _representation([member.name for member in members if member.repr]),
        "__hash__": None,
    }
    if is_frozen:
        methods |= {"__hash__": lambda self: hash(values(self)), **_CLOSED}
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    return cls


def _values(names: Sequence[str]) -> Values:
    """Return what gets the values of these fields from an object."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _equality(values: Values) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _representation(names: Sequence[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _refuse_change(self: object, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_removal(self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, member.name) for member in dataclasses.fields(self)]


def _set_state(self: Any, state: Sequence[Any]) -> None:
    for member, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, member.name, value)


_CLOSED = {
    "__setattr__": _refuse_change,
    "__delattr__": _refuse_removal,
    "__getstate__": _state,
    "__setstate__": _set_state,
}


def _first_init(cls: type) -> Callable[..., None]:
    """Return an ``__init__`` that fills the fields one by one, and puts the written one in its place in time.

    That is much faster, but to compile it takes as long as some forty objects do: most classes have fewer in a command.
    Arguments that do not fit are the written one's to refuse.
    """
    fields: tuple[Any, ...] | None = None
    left = _FIRST_OBJECTS

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal fields, left
        left -= 1
        if fields is None:  # whole at once: another thread may make one of these objects, too
            fields = tuple((member, getattr(cls, member.name).__set__) for member in dataclasses.fields(cls))
        if left < 0 or not _fill(self, fields, args, kwargs):
            written = _init(cls)
            cls.__init__ = written  # type: ignore[misc]
            written(self, *args, **kwargs)
        elif hasattr(cls, "__post_init__"):
            self.__post_init__()

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _fill(self: object, fields: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Fill the fields of an object, given as (field, setter of its slot); return False if the arguments do not fit."""
    given = iter(args)
    named = len(kwargs)
    for member, put in fields:
        value = next(given, MISSING) if member.init and not member.kw_only else MISSING
        if value is MISSING and member.init and member.name in kwargs:
            value = kwargs[member.name]
            named -= 1
        if value is MISSING:
            value = member.default if member.default_factory is MISSING else member.default_factory()
        if value is not MISSING:
            put(self, value)
        elif member.init:
            return False
    return not named and next(given, MISSING) is MISSING


def _init(cls: type) -> Callable[..., None]:
    """Write ``__init__`` for the fields of a class: it fills the slots themselves, which may be closed to others."""
    known: dict[str, Any] = {"MISSING": MISSING}
    parameters, by_keyword, lines = ["self"], ["*"], []
    for member in dataclasses.fields(cls):
        name = member.name
        known[f"_set_{name}"] = getattr(cls, name).__set__
        value = parameter = name
        if member.default is not MISSING:
            known[f"_default_{name}"] = member.default
            parameter = f"{name}=_default_{name}"
        elif member.default_factory is not MISSING:
            known[f"_make_{name}"] = member.default_factory
            parameter = f"{name}=MISSING"
            value = f"_make_{name}() if {name} is MISSING else {name}"
        if member.init:
            (by_keyword if member.kw_only else parameters).append(parameter)
        else:
            value = parameter.partition("=")[2].replace("MISSING", f"_make_{name}()")
        if value:
            lines.append(f" _set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters += by_keyword if len(by_keyword) > 1 else []
    text = f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"])
    exec(text, known)
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # the interpreter names it when arguments do not fit
    return made
