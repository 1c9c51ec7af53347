"""The images that a build begins with or takes files from: those of the store, and what registries have instead.

What is pulled for a build is pulled once in it for each platform, whatever comes of that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing

from minidock.core.platform import Platform
from minidock.core.reference import Reference
from minidock.core.transfers import Transfer, TransferNote, TransferProgress, TransferState
from minidock.engine import images
from minidock.engine.crew import RETRYING
from minidock.engine.images import Image
from minidock.engine.progress import Progress
from minidock.engine.registries import Environment
from minidock.engine.workspace import Workspace
from minidock.errors import MinidockError, NoSuchImage, RegistryRefused
from minidock.store.session import Session

_DIGEST = "Digest: "
_Key = tuple[str, Platform | None]


class PullFailed(MinidockError):
    """An image that no registry gave; ``reason`` says why, for messages that name the image."""

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(f"{reference}: {reason}")
        self.reference = reference
        self.reason = reason


class BaseImages:
    """The images of one build; ``environment`` says how registries are reached, None that nothing is pulled.

    With ``always`` they are pulled even if the store has them.
    """

    def __init__(
        self,
        ws: Workspace,
        session: Callable[[], Session],
        progress: Progress,
        environment: Environment | None,
        *,
        always: bool = False,
    ) -> None:
        self._ws = ws
        self._session = session
        self._progress = progress
        self._environment = environment
        self._always = always
        self._failed: dict[_Key, PullFailed] = {}
        self._tried: set[_Key] = set()
        self._found: dict[_Key, Image] = {}
        self._count = 0  # of those that came
        self._lock = threading.Lock()

    def find(self, name: str, platform: Platform | None = None) -> Image:
        """Return an image, pulled if need be. Raises: NoSuchImage, PullFailed, InvalidReference."""
        with self._lock:
            return self._image(name, platform)

    def provide(self, wanted: Iterable[tuple[str, Platform | None]]) -> bool:
        """Pull what is missing of some images; return whether the store has any of them now that it had not before.

        What fails is told by `find`.
        """
        before = self._count
        for name, platform in wanted:
            try:
                with self._lock:
                    self._image(name, platform)
            except MinidockError:
                continue
        return self._count > before

    def _image(self, name: str, platform: Platform | None) -> Image:
        """Return the image; it stays the same if the name goes to one for another platform."""
        key = (name, platform)
        if key not in self._found:
            self._provide(name, platform)
            self._found[key] = images.find(self._ws, name)
        return self._found[key]

    def _provide(self, name: str, platform: Platform | None) -> None:
        key = (name, platform)
        if key in self._failed:
            raise self._failed[key]
        if self._environment is None or key in self._tried or images.is_id(self._ws, name):
            return
        local = self._local(name)
        if local is not None and not self._always and _suits(local, platform):
            return
        self._tried.add(key)
        try:
            self._pull(Reference.parse(name), platform, self._environment)
        except MinidockError as error:
            if local is not None and not self._always:
                return  # that it is for another platform is what is to be told
            self._failed[key] = PullFailed(name, _reason(name, error))
            raise self._failed[key] from error
        self._count += 1

    def _local(self, name: str) -> Image | None:
        try:
            return images.find(self._ws, name)
        except NoSuchImage:
            return None

    def _pull(self, reference: Reference, platform: Platform | None, environment: Environment) -> None:
        # Few builds pull anything: the others start faster without the HTTP client.
        from minidock.engine.pull import pull
        from minidock.engine.registries import open_registries

        with (
            self._progress.internal(f"[internal] load metadata for {reference}") as step,
            closing(open_registries(environment, self._progress.warn)) as registries,
        ):

            def tell(event: Transfer) -> None:
                match event:
                    case TransferNote(text) if text.startswith(_DIGEST):
                        step.status(f"resolve {reference.name}@{text.removeprefix(_DIGEST)} done")
                    case TransferNote(text) if text.startswith(RETRYING):
                        step.status(text)
                    case TransferState(item, text):
                        step.status(f"{item}: {text}")
                    case TransferProgress(item, text, done, total):
                        step.progress(item, text, done, total)

            pull(self._ws, registries, reference, tell, platform=platform, session=self._session())


def _suits(image: Image, platform: Platform | None) -> bool:
    offered = image.config.platform
    return platform is None or platform.choose([offered]) is not None


def _reason(name: str, error: MinidockError) -> str:
    """Return what is wrong in BuildKit's words where it has some."""
    if isinstance(error.__cause__, RegistryRefused) and error.__cause__.status == 404:
        return f"{Reference.parse(name)}: not found"
    return str(error)
