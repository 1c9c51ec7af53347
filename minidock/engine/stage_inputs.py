"""What the stages of a build take in: base images, files of contexts, the layers of other stages and images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.core.dockerfile import stage_needs, stage_plan
from minidock.core.dockerfile.ignore import IgnoreRules
from minidock.core.dockerfile.model import Copy, Run
from minidock.core.platform import Platform
from minidock.core.reason import Reason
from minidock.core.reference import Reference
from minidock.core.step_lines import CopiedFrom
from minidock.engine import images
from minidock.engine.base_images import PullFailed
from minidock.engine.copy_words import is_linked
from minidock.engine.images import Image
from minidock.engine.platforms import architecture, this_platform
from minidock.engine.preparing import Setup
from minidock.engine.sources import LayerSource, Source, layer_source
from minidock.engine.stage_state import NotKnownYet, StageState, scratch
from minidock.errors import DockerfileError, NoSuchImage


class StageInputs:
    """The inputs of all stages of one build; ``state_of`` gives what a stage has become, waiting for it."""

    def __init__(self, setup: Setup, state_of: Callable[[int], StageState]) -> None:
        self._setup = setup
        self._state_of = state_of
        self._plan = setup.course.plan
        self._contexts = setup.prepared.contexts
        self._lock = threading.Lock()  # of what all stages open: the context, layers
        self._context: Source | None = None

    @contextmanager
    def _located(self, line: int) -> Iterator[None]:
        try:
            yield
        except NoSuchImage as error:
            if self._setup.is_plan:
                raise NotKnownYet(Reason(f"image {error.reference} is not in this store")) from error
            raise self._missing(error.reference, f"{Reference.parse(error.reference)}: not found", line) from error
        except PullFailed as error:
            raise self._missing(error.reference, error.reason, line) from error

    def _missing(self, reference: str, reason: str, line: int) -> DockerfileError:
        full = Reference.parse(reference)
        problem = self._problem(f"{reference}: failed to resolve source metadata for {full}: {reason}", line)
        problem.hint = (
            f"make it first: `minidock import FILE {full.familiar}` for the tar of a root file system, or "
            f"`minidock image from-host -t {full.familiar} sh ls cat …` for programs of this machine"
        )
        return problem

    def _problem(self, text: str, line: int) -> DockerfileError:
        dockerfile = self._setup.prepared.definition.dockerfile
        return DockerfileError(text, filename=dockerfile.filename, first=line, source=dockerfile.source)

    def platform_of(self, stage: stage_plan.Stage) -> Platform:
        """Return what a stage is built for. Raises: DockerfileError if this machine cannot run its steps."""
        wanted = stage.platform or self._setup.request.platform or this_platform()
        run = next((item for item in stage.instructions if isinstance(item, Run)), None)
        if run is not None and wanted.normalized() not in this_platform().runnable():
            text = f"--platform={wanted}: RUN needs a machine of that kind, and this one is {this_platform()}"
            raise self._problem(text, run.first)
        return wanted

    def base(self, stage: stage_plan.Stage) -> tuple[StageState, str]:
        """Return where a stage begins, and what its FROM is shown as.

        Raises: DockerfileError; NotKnownYet in a plan, if the image is not there.
        """
        wanted = self.platform_of(stage)
        if isinstance(stage.base, int):
            # The values of its ARGs go on, but the history of this stage names only those that it declares itself.
            # Where an ENV has the same name, that counts: it comes from the image.
            state = self._state_of(stage.base)
            variables = {**state.variables, **_variables(state.image)}
            return replace(state, args={}, variables=variables), self._plan.display_name(stage.base)
        if stage.is_scratch or self._is_empty(stage.base):
            empty = replace(scratch(wanted.architecture), os=wanted.os, variant=wanted.variant)
            return StageState(empty, None), "scratch"
        image = self._image(stage.base, stage.from_line, stage.platform)
        offered = image.config.platform
        if (stage.platform or self._setup.request.platform) and wanted.choose([offered]) is None:
            full = Reference.parse(stage.base)
            raise self._problem(
                f"{stage.base}: failed to resolve source metadata for {full}: no match for platform in manifest: "
                f"not found: it is for {offered}",
                stage.from_line,
            )
        variables = _variables(image.config)
        shown = str(Reference.parse(stage.base)) if image.names else str(image.image_id)
        name = stage.base.partition("@")[0]
        known = images.known_lines(self._setup.ws.store.images.list(), image.image_id)
        lines = tuple(known[number] if number < len(known) else None for number in range(len(image.config.history)))
        base = f"{name}@{image.image_id}"
        count = len(image.config.diff_ids)
        state = StageState(image.config, image.image_id, variables, base=base, base_layers=count, lines=lines)
        return state, shown

    def _is_empty(self, name: str) -> bool:
        """Tell whether a base has no layers to begin with: files of a named context are copied into it."""
        return name in self._contexts and (not self._contexts.names_image(name) or self._contexts.is_scratch(name))

    def open_context(self) -> Source:
        """Return the files of the build context."""
        with self._lock:
            if self._context is None:
                prepared = self._setup.prepared
                rules = prepared.definition.ignore or IgnoreRules()
                self._context = prepared.opened.files.source(rules, self._setup.progress)
            return self._context

    def named_source(self, name: str) -> Source | None:
        """Return the files of a named context, None if an image, a stage or nothing of its own has the name."""
        if name not in self._contexts or self._contexts.names_image(name):
            return None
        return self._contexts.source(name)

    def open_from(self, instruction: Copy) -> Source:
        """Return what the --from of a COPY names. Raises: DockerfileError, NotKnownYet in a plan."""
        found = stage_needs.copy_source(self._plan, instruction)
        if isinstance(found, int):
            return self._layers(self._finished(found))
        source = self.named_source(found)
        return self._layers(self._config(found, instruction.first)) if source is None else source

    def copied_from(self, instruction: Copy, workdir: str) -> CopiedFrom | None:
        """Return what a COPY --from takes which files from, for those who ask later; None of a context or nothing.

        Raises: as `open_from`.
        """
        found = stage_needs.copy_source(self._plan, instruction)
        if isinstance(found, int):
            state = self._state_of(found)
            image_id, lines, name = state.image_id, state.lines, self._plan.stages[found].name or str(found)
        elif found == stage_plan.SCRATCH or self._is_empty(found):
            return None
        else:
            image_id, lines, name = self._image(found, instruction.first).image_id, (), found
        if image_id is None:
            return None
        destination = instruction.destination
        return CopiedFrom(
            name,
            image_id,
            isinstance(found, int),
            instruction.sources,
            destination if destination.startswith("/") else f"{workdir}/{destination}",
            instruction.parents,
            instruction.excludes,
            is_linked(instruction),
            lines,
        )

    def layers_of(self, name: str, instruction: Run, target: str) -> tuple[Digest, ...] | Source:
        """Return what the from= of a mount names: layers, or the files of a named context. Raises: as `open_from`."""
        found = stage_needs.mount_source(self._plan, instruction, name, target)
        if isinstance(found, int):
            return self._present(self._finished(found)).diff_ids
        return self.named_source(found) or self._present(self._config(found, instruction.first)).diff_ids

    def _finished(self, index: int) -> ImageConfig:
        state = self._state_of(index)
        if self._setup.is_plan and state.was_rebuilt:
            name = self._plan.stages[index].name or str(index)
            text = f"stage {name} rebuilt (cached if that makes the same files)"
            raise NotKnownYet(Reason(text, (state.first_rebuilt,)))
        return state.image

    def _image(self, name: str, line: int, platform: Platform | None = None) -> Image:
        """Return the image that a FROM, a --from or a named context means, kept until the build ends."""
        with self._located(line):
            reference = self._contexts.reference(name) if name in self._contexts else name
            if reference is None:
                image = self._contexts.image(name)
            else:
                image = self._setup.prepared.images.find(reference, platform or self._setup.request.platform)
        self._setup.session.pin([image.image_id, *image.config.diff_ids])
        return image

    def _config(self, name: str, line: int) -> ImageConfig:
        is_scratch = name == stage_plan.SCRATCH or self._is_empty(name)
        return scratch(architecture()) if is_scratch else self._image(name, line).config

    def _present(self, image: ImageConfig) -> ImageConfig:
        """Return an image whose files a step takes. Raises: NotKnownYet in a plan, if a layer is not there yet."""
        store = self._setup.ws.store
        if self._setup.is_plan and not all(store.blobs.has(store.layers.blob_of(item)) for item in image.diff_ids):
            raise NotKnownYet(Reason("what it takes files from is not there yet (cached if they are as before)"))
        return image

    def _layers(self, image: ImageConfig) -> LayerSource:
        with self._lock:
            return self._setup.stack.enter_context(layer_source(self._setup.ws.store, self._present(image).diff_ids))


def _variables(image: ImageConfig) -> dict[str, str]:
    return {name: value for name, _, value in (item.partition("=") for item in image.config.env)}
