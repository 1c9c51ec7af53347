"""The interpreter looks for garbage again after work that is done without."""

from __future__ import annotations

import gc

import pytest

from minidock.core.garbage import uncollected


def test_garbage_is_looked_for_again() -> None:
    with pytest.raises(KeyError), uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
