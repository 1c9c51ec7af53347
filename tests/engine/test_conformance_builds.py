"""Builds of BuildKit's and moby's own tests, in order with one cache, and what must hold of their results."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from minidock.core.build_options import CacheOption, Output
from minidock.core.config import ImageConfig
from minidock.core.digest import Digest
from minidock.core.entries import DIRECTORY, FILE, SYMLINK, Entry, Tree
from minidock.core.events import BuildWarning, Event, StepOutput, StepStarted
from minidock.core.resources import Resources
from minidock.core.times import parse_time
from minidock.engine import images
from minidock.engine.build import build
from minidock.engine.call import outline_of, targets_of
from minidock.engine.outputs import Outputs
from minidock.engine.platforms import parse_platforms
from minidock.engine.preparing import BuildRequest
from minidock.engine.prune import prune_cache
from minidock.engine.secrets import Secrets
from minidock.engine.workspace import SystemClock, Workspace
from minidock.errors import DockerfileError, MinidockError, StepFailed
from minidock.runtime import syscalls
from minidock.store.contents import Contents
from tests.engine.building import import_base, open_store, outcomes, run_build, workspace
from tests.engine.conformance_files import base, make_context, packed
from tests.engine.conformance_platforms import check_index_platforms, check_platform, written
from tests.engine.served import Served, commit_of, git_server, make_repository, web_server

# Deviations: cases, and the words by which docs/compatibility.md, "Building", knows them.
DEVIATIONS = {
    "run-network-host-needs-entitlement": "`RUN --network=host` needs no `--allow`",
    "run-device": "`RUN --device` is refused",
}
# Their RUN steps set owners, or see those that COPY has set.
_OTHER_IDS = (
    "user-additional-gids",
    "copy-chown-existing-dir",
    "copy-chown-creates-destination",
    "copy-chown",
    "workdir-existing-keeps-owner",
    "workdir-owned-by-user",
    "copy-heredoc",
    "add-chown-expansion",
    "secret-file-owner-and-mode",
)
# Their RUN steps want to have what only a root who has it can give.
_EVERY_CAPABILITY = ("run-security-insecure",)
# Options of builds that these tests do not set, or that are another test's.
_NOT_HERE = ("ulimit",)


# How a context is described that is not the directory.
_SERVED = re.compile(r"(?P<what>tar|the Dockerfile alone) served at @HTTP@(?P<path>/\S+)")


def has_every_capability() -> bool:
    """Tell whether this process has the capabilities that the cases look for."""
    wanted = (1 << 38) - 1
    return syscalls.permitted_capabilities() & wanted == wanted


def collections() -> list[Any]:
    place = os.environ.get("MINIDOCK_CONFORMANCE")
    if not place:
        return [pytest.param({}, marks=pytest.mark.skip(reason="MINIDOCK_CONFORMANCE is not set"), id="no-cases")]
    found = []
    for name in ("buildkit", "moby"):
        for case in json.loads((Path(place) / f"{name}.json").read_text())["cases"]:
            found.append(pytest.param(case, id=f"{name}-{case['name']}"))
    return found


@dataclass
class Outcome:
    """How one build ended: its image, or its error, and what it reported."""

    events: list[Event] = field(default_factory=list)
    error: MinidockError | None = None
    image: ImageConfig | None = None
    answer: Any = None  # to a call, as JSON
    image_id: str = ""
    diff_ids: tuple[Digest, ...] = ()
    tree: Tree = field(default_factory=Tree)
    archive: dict[str, bytes] = field(default_factory=dict)  # the files of an OCI output

    @property
    def lines(self) -> str:
        """The lines that an error is shown with."""
        error = self.error
        if not isinstance(error, DockerfileError | StepFailed):
            return ""
        return "\n".join(error.source.splitlines()[error.first - 1 : error.last or error.first])

    def blob(self, digest: str) -> bytes:
        return self.archive[f"blobs/{digest.replace(':', '/')}"]

    def manifest(self) -> Any:
        """The only manifest of an OCI output."""
        (descriptor,) = json.loads(self.archive["index.json"])["manifests"]
        return json.loads(self.blob(descriptor["digest"]))

    @property
    def log(self) -> str:
        lines = [event.line for event in self.events if isinstance(event, StepOutput)]
        lines += [event.name for event in self.events if isinstance(event, StepStarted)]
        lines += [event.text for event in self.events if isinstance(event, BuildWarning)]
        return "\n".join(lines)


@dataclass
class Case:
    """One case under way."""

    data: dict[str, Any]
    ws: Workspace
    context: Path
    replaced: dict[str, str] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    base_history: int = 0

    def text(self, value: str) -> str:
        for name, replacement in self.replaced.items():
            value = value.replace(name, replacement)
        return value

    def write(self, build_: dict[str, Any]) -> None:
        if "files_replace" in build_:
            self.files = dict(build_["files_replace"])
        self.files.update(build_.get("files_change", {}))
        if self.context.exists():
            shutil.rmtree(self.context)
        items = []
        for path, entry in self.files.items():
            members = {"content": entry, "mode": "0600"} if isinstance(entry, str) else dict(entry)
            items.append({**members, "path": path.strip("/"), "content": self.text(members.get("content", ""))})
        make_context(self.context, items)
        name = build_.get("dockerfile_name", self.data.get("dockerfile_name", "Dockerfile"))
        dockerfile = build_.get("dockerfile", self.data["dockerfile"])
        if name not in self.files:
            place = self.context / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(self.text(dockerfile))

    def run(self, build_: dict[str, Any]) -> Outcome:
        self.write(build_)
        if build_.get("prune_first"):
            prune_cache(self.ws, is_all=True)
        time.sleep(build_.get("wait_seconds", 0))
        name = build_.get("dockerfile_name", self.data.get("dockerfile_name"))
        outcome = Outcome()
        secrets = {key: value.encode() for key, value in build_.get("secrets", {}).items()}
        remote = self.text(build_["context"]) if "context" in build_ else self.remote(build_)
        beside = name if remote else str(self.context / name) if name else None
        request = BuildRequest(
            remote or str(self.context),
            dockerfile=beside,
            build_args={key: self.text(str(value)) for key, value in build_.get("build_args", {}).items()},
            labels=build_.get("labels", {}),
            target=build_.get("target"),
            uses_cache=not build_.get("no_cache", False),
            no_cache_stages=tuple(build_.get("no_cache_filter", ())),
            secrets=Secrets(values=secrets),
            contexts=self.contexts(build_),
            resources=Resources(shm_size=build_.get("shm_size", 0)),
            outputs=Outputs(self.outputs(build_)),
            cache_from=self.cache(build_.get("cache_from"), "src"),
            cache_to=self.cache(build_.get("cache_to"), "dest"),
            platforms=parse_platforms((build_["platform"],)) if "platform" in build_ else (),
            allowed=tuple(build_.get("allow", ())),
        )
        if "call" in build_:
            outcome.answer = _answer(self.ws, request, build_["call"])
            return outcome
        try:
            result = build(self.ws, request, outcome.events.append)
        except MinidockError as error:
            outcome.error = error
            return outcome
        if request.platforms:
            outcome.archive = written(request.outputs.wanted[0])
            return outcome
        image = images.load(self.ws, result.image_id)
        outcome.image, outcome.image_id, outcome.diff_ids = image.config, str(result.image_id), image.config.diff_ids
        for output in request.outputs.wanted:
            self.read_output(outcome, output)
        outcome.tree = self.ws.store.layers.tree(outcome.diff_ids)
        return outcome

    def cache(self, members: dict[str, str] | None, where: str) -> tuple[CacheOption, ...]:
        if members is None:
            return ()
        kept = {name: value for name, value in members.items() if name != "type"}
        return (CacheOption(members["type"], {**kept, where: str(self.context.with_name("cache"))}),)

    def outputs(self, build_: dict[str, Any]) -> tuple[Output, ...]:
        if "output" not in build_:
            return ()
        attributes = {"rewrite-timestamp": "true"} if build_.get("rewrite_timestamp") else {}
        return (Output(build_["output"], str(self.context.with_name(f"output{len(self.outcomes)}")), attributes),)

    def read_output(self, outcome: Outcome, output: Output) -> None:
        """Have the outcome be what was written, instead of what is in the store."""
        with self.ws.store.session() as session, open(output.dest, "rb") as file:
            if output.type == "tar":
                outcome.diff_ids = (self.ws.store.layers.ingest(session, file).diff_id,)
                return
            with tarfile.open(fileobj=file) as archive:
                outcome.archive = {
                    member.name: content.read() for member in archive if (content := archive.extractfile(member))
                }
            manifest = outcome.manifest()
            outcome.image = ImageConfig.from_bytes(outcome.blob(manifest["config"]["digest"]))
            layers = [io.BytesIO(outcome.blob(layer["digest"])) for layer in manifest["layers"]]
            outcome.diff_ids = tuple(self.ws.store.layers.ingest(session, layer).diff_id for layer in layers)
            assert outcome.diff_ids == outcome.image.diff_ids

    def remote(self, build_: dict[str, Any]) -> str:
        """Return the URL at which the context is served, empty if it is not."""
        served = _SERVED.fullmatch(build_.get("context_kind", ""))
        return self.replaced["@HTTP@"] + served["path"] if served else ""

    def contexts(self, build_: dict[str, Any]) -> dict[str, str]:
        """Return the named contexts, directories written."""
        place = self.context.with_name("contexts")
        place.mkdir(exist_ok=True)
        for name, files in build_.get("context_dirs", {}).items():
            make_context(place / name, [{"path": path, "content": text} for path, text in files.items()])
        values = build_.get("contexts", {}).items()
        return {name: self.text(value).replace("dir:", f"{place}/") for name, value in values}

    def content(self, outcome: Outcome, path: str) -> bytes:
        entry = outcome.tree.get(outcome.tree.resolve(path.strip("/")))
        assert entry is not None, f"{path} is not in the result"
        with Contents(self.ws.store.blobs, self.ws.store.layers, outcome.diff_ids) as contents:
            return contents.read(entry)


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    data = request.param
    if data["needs"]["run"] and not shutil.which("busybox"):
        pytest.skip("this machine has no static busybox")
    if data["name"] in _OTHER_IDS and os.geteuid() != 0:
        pytest.skip("owners that only root can set for a process")
    if data["name"] in _EVERY_CAPABILITY and not has_every_capability():
        pytest.skip("this root has not every capability, and can give none that it has not")
    options = {key for item in data["builds"] for key in item} & set(_NOT_HERE)
    if options:
        pytest.skip(f"a build with {', '.join(sorted(options))}")
    kinds = [item["context_kind"] for item in data["builds"] if "context_kind" in item]
    if not all(map(_SERVED.fullmatch, kinds)):
        pytest.skip(f"a context that is a {', '.join(kinds)}")
    ws = workspace(tmp_path / "store")
    if data["needs"]["run"]:
        ws = Workspace(open_store(tmp_path / "store"), SystemClock())
    found = Case(data, ws, tmp_path / "context", files=dict(data["files"]))
    with ExitStack() as stack:
        _serve(found, stack, tmp_path)
        _bases(found, tmp_path)
        yield found


def _serve(case: Case, stack: ExitStack, tmp_path: Path) -> None:
    """Serve what the case wants to fetch, and know what its placeholders stand for."""
    if "http" in case.data:
        case.served = {
            path: packed(item["tree" if "tree" in item else "tar"]) if "tar" in item else item["content"].encode()
            for path, item in case.data["http"].items()
        }
        web = stack.enter_context(web_server({path: Served(data) for path, data in case.served.items()}))
        case.replaced["@HTTP@"] = web.url
    elif case.data["needs"].get("network") == "http":
        case.replaced["@HTTP@"] = stack.enter_context(web_server(_served_contexts(case))).url
    if "git" not in case.data:
        return
    if not shutil.which("git"):
        pytest.skip("this machine has no git")
    described = case.data["git"]
    url = stack.enter_context(git_server(tmp_path / "git"))
    if "submodule" in described:
        make_repository(tmp_path / "git" / "submodule", described["submodule"]["commands"])
        case.replaced["@SUBMODULE@"] = f"{url}/submodule/.git"
    place = tmp_path / "git" / "main"
    place.mkdir(parents=True)
    for name, text in described.get("files", {}).items():
        (place / name).write_text(text)
    make_repository(place, [case.text(command) for command in described["commands"]])
    case.replaced["@GIT@"] = f"{url}/main/.git"
    wanted = json.dumps({**case.data, "notes": ""})  # whose examples are no commits
    for ref in set(re.findall(r"@COMMIT8?:([^@]+)@", wanted)):
        commit = commit_of(place, ref)
        case.replaced[f"@COMMIT:{ref}@"], case.replaced[f"@COMMIT8:{ref}@"] = commit, commit[:8]


def _served_contexts(case: Case) -> dict[str, Served]:
    """Return what is served of the contexts that builds fetch."""
    found = {}
    for described in case.data["builds"]:
        served = _SERVED.fullmatch(described.get("context_kind", ""))
        if served is None:
            continue
        case.write(described)
        if served["what"] == "tar":
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as archive:
                archive.add(case.context, ".")
            found[served["path"]] = Served(content.getvalue())
        else:
            found[served["path"]] = Served((case.context / "Dockerfile").read_bytes())
    return found


def _answer(ws: Workspace, request: BuildRequest, call: str) -> Any:
    if call == "targets":
        return [
            {
                "name": target.name,
                "base": target.base,
                "description": target.description,
                "default": target.is_default,
                "line": target.line,
            }
            for target in targets_of(ws, request).targets
        ]
    assert call == "outline"
    outline = outline_of(ws, request)
    return {"name": outline.name, "description": outline.description, "args": [asdict(arg) for arg in outline.args]}


def _bases(case: Case, tmp_path: Path) -> None:
    """Make the base images, with the config that is described, and those that the case prepares."""
    mentioned = json.dumps(case.data.get("prepare", []))
    needed = [name for name in ("busybox", "alpine") if f"FROM {name}" in mentioned]
    for name in dict.fromkeys([*case.data["needs"]["base_images"], *needed]):
        import_base(case.ws, base(name == "alpine"), f"{name}-files")
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "empty" / "Dockerfile").write_text(f'FROM {name}-files\nCMD ["sh"]\n')
        made = run_build(case.ws, tmp_path / "empty", tags=(name,))
        case.base_history = len(images.load(case.ws, made.image_id).config.history)
    for number, item in enumerate(case.data.get("prepare", [])):
        place = tmp_path / f"prepared{number}"
        make_context(place, [{"path": path, "content": text} for path, text in item.get("files", {}).items()])
        (place / "Dockerfile").write_text(item["dockerfile"])
        if "tag" in item:
            run_build(case.ws, place, tags=(item["tag"],))
            continue
        layout = tmp_path / item["oci_layout"]
        run_build(case.ws, place, outputs=Outputs((Output("oci", str(layout), {"tar": "false"}),)))
        (manifest,) = json.loads((layout / "index.json").read_text())["manifests"]
        name = f"oci-layout:{item['oci_layout']}@(digest of the prepared image)"
        case.replaced[name] = f"oci-layout://{layout}@{manifest['digest']}"


@pytest.mark.parametrize("case", collections(), indirect=True)
def test_builds_give_what_buildkit_gives(case: Case) -> None:
    for number, described in enumerate(case.data["builds"]):
        outcome = case.run(described)
        case.outcomes.append(outcome)
        if outcome.error is not None and "not supported yet" in str(outcome.error):
            pytest.skip(str(outcome.error))
        problems = [f"build {number}: {text}" for text in _problems(case, outcome, described["expect"])]
        if case.data["name"] in DEVIATIONS:
            assert problems, "no deviation any more: take it out of the list and of docs/compatibility.md"
            return
        assert problems == [], outcome.error


@pytest.mark.parametrize("words", sorted(DEVIATIONS.values()))
def test_deviations_are_told(words: str) -> None:
    told = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
    assert words in told.partition("## Building\n")[2].partition("\n## ")[0]


def _problems(case: Case, outcome: Outcome, expected: list[dict[str, Any]]) -> Iterator[str]:
    expects_error = any(key.startswith("error") for item in expected for key in item)
    if expects_error and outcome.error is None:
        yield "it should fail"
        return
    if not expects_error and outcome.error is not None:
        yield f"{outcome.error} {outcome.error.__cause__ or ''}"
        return
    for item in expected:
        try:
            _check(case, outcome, item)
        except AssertionError as error:
            yield f"{item}: {error}"


def _check(case: Case, outcome: Outcome, item: dict[str, Any]) -> None:
    if outcome.image is None and outcome.archive:
        _check_platforms(outcome, item)
        return
    match next(iter(item)) if len(item) == 1 else _kind(item):
        case "build" | "error_any":
            return
        case "error_contains":
            assert case.text(item["error_contains"]) in f"{outcome.error}\n{outcome.lines}\n{outcome.log}", (
                outcome.error
            )
        case "error_regex":
            assert re.search(item["error_regex"], str(outcome.error)), outcome.error
        case "error_lines":
            assert isinstance(outcome.error, DockerfileError), outcome.error
            lines = item["error_lines"]
            assert outcome.error.first in lines, (outcome.error.first, outcome.error.last)
            assert outcome.error.filename.endswith(item.get("error_file", ""))
        case "file":
            _check_file(case, outcome, item)
        case "path" | "dir":
            _check_path(outcome, item)
        case "absent":
            assert item["absent"].strip("/") not in outcome.tree
        case "empty_dir":
            assert outcome.tree.below(item["empty_dir"].strip("/")) == []
            assert item["empty_dir"].strip("/") in outcome.tree
        case "symlink":
            entry = outcome.tree.get(item["symlink"].strip("/"))
            assert entry is not None
            assert (entry.kind, entry.linkname) == (SYMLINK, item["target"])
        case "config":
            assert outcome.image is not None
            _check_field(outcome.image.config.to_json().get(item["config"]), item)
        case "image":
            assert outcome.image is not None
            members = json.loads(outcome.image.to_bytes())
            _check_field(members.get(item["image"]), item)
        case "layers" | "layers_above_base":
            assert outcome.image is not None
            below = len(case.data["needs"]["base_images"][:1]) if "layers_above_base" in item else 0
            assert len(outcome.image.diff_ids) - below == next(iter(item.values()))
        case "history" | "history_above_base":
            _check_history(case, outcome, item)
        case "history_all_have":
            assert outcome.image is not None
            assert all(entry.to_json().get(item["history_all_have"]) for entry in outcome.image.history)
        case "history_all_created_unix":
            assert outcome.image is not None
            times = {parse_time(entry.created or "").timestamp() for entry in outcome.image.history}
            assert times == {item["history_all_created_unix"]}
        case "log_contains":
            assert item["log_contains"] in outcome.log, outcome.log
        case "log_not_contains":
            assert item["log_not_contains"] not in outcome.log, outcome.log
        case "step":
            names = [event.name for event in outcome.events if isinstance(event, StepStarted)]
            assert item["step"] in names, names
        case "step_contains":
            assert item["step_contains"] in outcome.log, outcome.log
        case "targets":
            wanted, found = item["targets"], outcome.answer
            assert [
                {key: one[key] for key in described} for one, described in zip(found, wanted, strict=True)
            ] == wanted
        case "outline":
            wanted, found = item["outline"], outcome.answer
            args = zip(found["args"], wanted["args"], strict=True)
            assert [{key: one[key] for key in described} for one, described in args] == wanted["args"]
            assert (found["name"], found["description"]) == (wanted["name"], wanted["description"])
        case "layer_annotation":
            found = [
                layer.get("annotations", {}).get(item["layer_annotation"]) for layer in outcome.manifest()["layers"]
            ]
            assert found == [item["equals"]] * len(found)
            assert found
        case "all_cached":
            assert {line.split(" ")[0] for line in outcomes(outcome.events)} <= {"CACHED"}, outcomes(outcome.events)
        case kind:
            _check_other_build(case, outcome, item, str(kind))


def _kind(item: dict[str, Any]) -> str:
    order = (
        "layer_annotation",
        "same_as_build",
        "differs_from_build",
        "file",
        "symlink",
        "error_lines",
        "config",
        "image",
        "path",
        "dir",
    )
    return next((key for key in order if key in item), next(iter(item)))


def _check_platforms(outcome: Outcome, item: dict[str, Any]) -> None:
    if "index_platforms" in item:
        check_index_platforms(outcome.archive, item["index_platforms"])
    elif "platform" in item:
        check_platform(outcome.archive, item)
    else:
        assert outcome.archive[item["file"].strip("/")].decode() == item["content"]


def _check_file(case: Case, outcome: Outcome, item: dict[str, Any]) -> None:
    found = case.content(outcome, item["file"])
    entry = outcome.tree.get(outcome.tree.resolve(item["file"].strip("/")))
    assert entry is not None and entry.kind == FILE
    if "content" in item:
        assert found.decode() == case.text(item["content"])
    if "contains" in item:
        assert item["contains"] in found.decode()
    if "not_contains" in item:
        assert item["not_contains"] not in found.decode()
    if item.get("not_empty"):
        assert found
    if "same_as_context" in item:
        assert found == (case.context / item["same_as_context"]).read_bytes()
    if "same_as_http" in item:
        assert found == case.served[item["same_as_http"]]


def _check_path(outcome: Outcome, item: dict[str, Any]) -> None:
    entry: Entry | None = outcome.tree.get(item.get("path", item.get("dir", "")).strip("/"))
    assert entry is not None, "it is not there"
    if "dir" in item or item.get("type") == "dir":
        assert entry.kind == DIRECTORY
    if item.get("type") == "file":
        assert entry.kind == FILE
    found = {"mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid, "mtime": entry.mtime}
    wanted = {key: value for key, value in item.items() if key in found}
    assert {key: found[key] for key in wanted} == wanted
    assert entry.mtime <= item.get("mtime_max", entry.mtime)


def _check_field(value: Any, item: dict[str, Any]) -> None:
    if "equals" in item:
        assert (value or None) == (item["equals"] or None), value
    if "not_equals" in item:
        assert value != item["not_equals"]
    if "contains" in item:
        assert item["contains"] in value, value
    if "contains_prefix" in item:
        assert any(text.startswith(item["contains_prefix"]) for text in value), value
    if "count" in item:
        assert len(value) == item["count"]
    if item.get("empty"):
        assert not value
    if "one_of" in item:
        assert (value or "") in item["one_of"]
    if "unix" in item:
        assert parse_time(value).timestamp() == item["unix"]


def _check_history(case: Case, outcome: Outcome, item: dict[str, Any]) -> None:
    assert outcome.image is not None
    entries = outcome.image.history[case.base_history if "history_above_base" in item else 0 :]
    wanted = next(iter(item.values()))
    assert len(entries) == len(wanted), [entry.created_by for entry in entries]
    for entry, described in zip(entries, wanted, strict=True):
        assert described.get("created_by", entry.created_by) == entry.created_by
        assert described.get("created_by_contains", "") in entry.created_by, entry.created_by
        assert described.get("empty_layer", entry.is_empty_layer) == entry.is_empty_layer


def _check_other_build(case: Case, outcome: Outcome, item: dict[str, Any], kind: str) -> None:
    earlier = case.outcomes[item[kind]] if kind in item and isinstance(item[kind], int) else None
    if earlier is None:
        pytest.skip(f"the assertion {kind}")
    assert outcome.image is not None and earlier.image is not None
    match kind:
        case "same_as_build" | "differs_from_build":
            if "file" in item:
                same = case.content(outcome, item["file"]) == case.content(earlier, item["file"])
            else:
                same = outcome.image_id == earlier.image_id
            assert same == (kind == "same_as_build")
        case "same_index_json_as_build":
            assert outcome.archive["index.json"] == earlier.archive["index.json"]
        case "same_image_as_build":
            assert outcome.image_id == earlier.image_id
        case "same_config_as_build":
            assert outcome.image.config.to_json() == earlier.image.config.to_json()
        case "same_history_as_build":
            texts = [[entry.created_by for entry in image.history] for image in (outcome.image, earlier.image)]
            assert texts[0] == texts[1]
        case _:
            pytest.skip(f"the assertion {kind}")
