from __future__ import annotations

import pytest

from minidock.core.volume import LIST_FILTERS, Backing, VolumeFilter, check_driver, check_driver_options
from minidock.errors import InvalidRequest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"foo": "bar"}, 'create vol: invalid option: "foo"'),
        ({"type": "tmpfs"}, 'create vol: missing required option: "device"'),
        ({"o": "size=1m", "device": "tmpfs"}, 'create vol: missing required option: "type"'),
        ({"size": "1m"}, "create vol: quota size requested but no quota support"),
        (
            {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1"},
            "create vol: file systems of type nfs are not mounted by minidock, only tmpfs and bind",
        ),
        (
            {"type": "none", "device": "here", "o": "bind"},
            "create vol: the device of a bind must be an absolute path: here",
        ),
    ],
)
def test_driver_options_that_cannot_be_carried_out_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_driver_options("vol", options)
    assert str(caught.value) == message


def test_driver_options_say_what_backs_a_volume() -> None:
    tmpfs = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,ro"}
    bind = {"type": "none", "device": "/data", "o": "bind"}
    for options in ({}, tmpfs, bind):
        check_driver_options("vol", options)
    assert Backing.of({}) is None
    assert Backing.of(tmpfs) == Backing("", ("size=1m", "ro"), is_read_only=True)
    assert Backing.of(bind) == Backing("/data", (), is_read_only=False)


def test_there_is_one_driver() -> None:
    for name in ("", "local"):
        check_driver(name)
    with pytest.raises(InvalidRequest) as caught:
        check_driver("nfs", "create vol: ")
    assert str(caught.value) == 'create vol: error looking up volume plugin nfs: plugin "nfs" not found'


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ((), True),
        ((("dangling", "true"),), False),
        ((("dangling", "0"),), True),
        ((("name", "at"),), True),
        ((("name", "x"), ("name", "da")), True),
        ((("name", "x"),), False),
        ((("driver", "local"),), True),
        ((("driver", "nfs"),), False),
        ((("label", "a"), ("label", "b=2")), True),
        ((("label", "a=2"),), False),
        ((("label", "c"),), False),
    ],
)
def test_a_filter_looks_at_name_labels_and_use(conditions: tuple[tuple[str, str], ...], fits: bool) -> None:
    wanted = VolumeFilter.of(conditions, LIST_FILTERS)
    assert wanted.fits("data", {"a": "1", "b": "2"}, is_used=True) == fits


def test_a_filter_can_ask_for_what_has_no_label() -> None:
    wanted = VolumeFilter.of((("label!", "keep"),), ("label!",))
    assert [wanted.fits("data", labels, is_used=False) for labels in ({}, {"keep": ""})] == [True, False]


@pytest.mark.parametrize(
    ("condition", "message"),
    [(("foo", "bar"), "Invalid filter 'foo'"), (("dangling", "maybe"), "Invalid filter 'dangling=[maybe]'")],
)
def test_unknown_filters_are_refused_in_dockers_words(condition: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        VolumeFilter.of((condition,), LIST_FILTERS)
    assert str(caught.value) == message
