"""Runs the tests of the store again as a plain user, whom the kernel refuses more."""

from __future__ import annotations

import os

import pytest

from tests.other_users import PLAIN_ID, become_plain, public_place, python_for_everybody, run_tests


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_plain_users_store_is_no_other() -> None:
    python = python_for_everybody()
    with public_place() as place:
        os.chown(place, PLAIN_ID, PLAIN_ID)
        assert " passed" in run_tests(python, place, become_plain, "tests/store")
