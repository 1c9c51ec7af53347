"""Unpacks layers ahead: beside the reading of a context, say, that comes before the RUN which needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from minidock.core.digest import Digest
from minidock.engine.rootfs import probe
from minidock.engine.workspace import Workspace
from minidock.runtime.base import Storage
from minidock.store.session import Session
from minidock.store.threads import Worker, join_all


class _Over(Exception):
    """Nobody needs the layers any more."""


class Ahead:
    """What is being unpacked for the steps of one build, each stack of layers in a thread of its own.

    ``check`` is called now and then meanwhile; what it raises ends the work.
    """

    def __init__(self, ws: Workspace, session: Session, check: Callable[[], None] = lambda: None) -> None:
        self._ws = ws
        self._session = session
        self._check = check
        self._begun: dict[tuple[Digest, ...], Worker] = {}
        self._errors: dict[tuple[Digest, ...], BaseException] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def begin(self, diff_ids: tuple[Digest, ...]) -> None:
        """Begin to unpack a stack, of which a step is sure to need all layers."""
        with self._lock:
            if not diff_ids or diff_ids in self._begun or self._is_over:
                return
            thread = Worker(partial(self._unpack, diff_ids))
            try:
                thread.start()
            except RuntimeError:
                return  # no more threads may be had: the step unpacks what it needs
            self._begun[diff_ids] = thread

    def wait(self, diff_ids: Sequence[Digest]) -> None:
        """Wait for whatever was begun of a stack. Raises: what went wrong there, or ended it."""
        for begun, thread in list(self._begun.items()):
            if tuple(diff_ids[: len(begun)]) == begun:
                thread.wait()
                if begun in self._errors:
                    raise self._errors[begun]

    def close(self) -> None:
        """Give up what nobody has waited for. What went wrong there matters to nobody.

        Ctrl-C waits until the threads have ended: what they have made so far is removed after them.
        """
        with self._lock:
            self._is_over = True
        interrupts: list[BaseException] = []
        join_all(self._begun.values(), interrupts.append)
        if interrupts:
            raise interrupts[0]

    def _unpack(self, diff_ids: tuple[Digest, ...]) -> None:
        try:
            self._go_on()
            if probe(self._ws).storage is not Storage.COPY:
                self._ws.store.snapshots.stack(self._session, diff_ids, self._go_on)
        except BaseException as error:
            self._errors[diff_ids] = error

    def _go_on(self) -> None:
        if self._is_over:
            raise _Over
        self._check()
