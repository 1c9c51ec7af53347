"""Every placeholder of every list, its header and what stands below; every filter; `raw`; `-q` beside a format."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_image_commands import Minidock, Said, minidock, root  # noqa: F401  # fixtures
from tests.engine.building import write_context

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \w+"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+"
AGO = r"(\d+ |Less than a )seconds? ago"
ID, SHA = r"[0-9a-f]{12}", r"sha256:[0-9a-f]{64}"
SIZE = r"[0-9.]+(B|kB)"

IMAGES = {
    "ID": ("IMAGE ID", ID),
    "Repository": ("REPOSITORY", "app"),
    "Tag": ("TAG", "1"),
    "Digest": ("DIGEST", SHA),
    "CreatedSince": ("CREATED", AGO),
    "CreatedAt": ("CREATED AT", TIME),
    "Size": ("SIZE", "8B"),
    "Containers": ("CONTAINERS", "N/A"),
    "SharedSize": ("SHARED SIZE", "N/A"),
    "UniqueSize": ("UNIQUE SIZE", "N/A"),
    "VirtualSize": ("VIRTUAL SIZE", "8B"),
}
HISTORY = {
    "ID": ("IMAGE", ID),
    "CreatedSince": ("CREATED", AGO),
    "CreatedAt": ("CREATED AT", STAMP),
    "CreatedBy": ("CREATED BY", "LABEL stage=dev"),
    "Size": ("SIZE", "0B"),
    "Comment": ("COMMENT", "buildkit.dockerfile.v0"),
}
CONTAINERS = {
    "ID": ("CONTAINER ID", ID),
    "Image": ("IMAGE", "app:1"),
    "Command": ("COMMAND", '"run me"'),
    "CreatedAt": ("CREATED AT", TIME),
    "RunningFor": ("CREATED", AGO),
    "Ports": ("PORTS", ""),
    "State": ("STATE", "created"),
    "Status": ("STATUS", "Created"),
    "Size": ("SIZE", r"0B \(virtual 8B\)"),
    "Names": ("NAMES", "box"),
    "Labels": ("LABELS", "k=v,stage=dev"),
    'Label "k"': ("k", "v"),
    'Label "none"': ("none", ""),
    "Mounts": ("MOUNTS", "data"),
    "LocalVolumes": ("LOCAL VOLUMES", "1"),
    "Networks": ("NETWORKS", "net1"),
    "Platform": ("PLATFORM", "<nil>"),
    "HealthStatus": ("HEALTH STATUS", ""),
}
VOLUMES = {
    "Name": ("VOLUME NAME", "data"),
    "Driver": ("DRIVER", "local"),
    "Scope": ("SCOPE", "local"),
    "Mountpoint": ("MOUNTPOINT", "/.*/volumes/data/_data"),
    "Labels": ("LABELS", "a=b"),
    'Label "a"': ("a", "b"),
    "Links": ("LINKS", "N/A"),
    "Size": ("SIZE", "N/A"),
    "Availability": ("AVAILABILITY", "N/A"),
    "Group": ("GROUP", "N/A"),
    "Status": ("STATUS", "N/A"),
}
NETWORKS = {
    "ID": ("NETWORK ID", ID),
    "Name": ("NAME", "net1"),
    "Driver": ("DRIVER", "bridge"),
    "Scope": ("SCOPE", "local"),
    "IPv4": ("IPV4", "true"),
    "IPv6": ("IPV6", "false"),
    "Internal": ("INTERNAL", "false"),
    "Labels": ("LABELS", "n=1"),
    'Label "n"': ("n", "1"),
    "CreatedAt": ("CREATED AT", TIME),
}
USAGE = {
    "Type": ("TYPE", "Images"),
    "TotalCount": ("TOTAL", "2"),
    "Active": ("ACTIVE", "1"),
    "Size": ("SIZE", SIZE),
    "Reclaimable": ("RECLAIMABLE", rf"{SIZE} \(\d+%\)"),
}
LISTS = {
    ("images", "app"): IMAGES,
    ("history", "app:1"): HISTORY,
    ("ps", "-a"): CONTAINERS,
    ("volume", "ls"): VOLUMES,
    ("network", "ls", "-f", "name=net1"): NETWORKS,
    ("system", "df"): USAGE,
}
DETAILS = {
    "Images": {name: pattern for name, (_, pattern) in IMAGES.items()}
    | {"Containers": "1", "SharedSize": SIZE, "UniqueSize": SIZE},
    "Containers": {name: pattern for name, (_, pattern) in CONTAINERS.items() if not name.startswith("Label ")}
    | {"Size": "0B"},
    "Volumes": {name: pattern for name, (_, pattern) in VOLUMES.items() if not name.startswith("Label ")}
    | {"Links": "1", "Size": "0B"},
    "BuildCache": {
        "ID": rf"{ID}\*?",
        "Parent": "",
        "CacheType": r"\w+",
        "Description": "",
        "InUse": "true|false",
        "Shared": "true|false",
        "Size": SIZE,
        "CreatedAt": TIME,
        "CreatedSince": AGO,
        "LastUsedAt": f"({TIME})?",
        "LastUsedSince": f"({AGO})?",
        "UsageCount": r"\d+",
    },
}


@pytest.fixture
def lab(minidock: Minidock, tmp_path: Path) -> Minidock:  # noqa: F811
    """A store with two images, a container, a volume and a network; the name of each is in the tables above."""
    place = write_context(
        tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY f /f\nLABEL stage=dev\n", "f": "content\n"}
    )
    other = write_context(tmp_path / "other", {"Dockerfile": "FROM scratch\nCOPY f /g\n", "f": "other\n"})
    options = "--name box --label k=v -v data:/data --network net1 --health-cmd true"
    for words in (
        ("build", "-q", "-t", "app:1", str(place)),
        ("build", "-q", "-t", "other:1", str(other)),
        ("volume", "create", "--label", "a=b", "data"),
        ("network", "create", "--label", "n=1", "net1"),
        ("create", *options.split(), "app:1", "run", "me"),
    ):
        said = minidock(*words)
        assert said.code == 0, said
    return minidock


def test_every_placeholder_has_its_header_and_its_value(lab: Minidock) -> None:
    wrong = []
    for words, placeholders in LISTS.items():
        for name, (header, pattern) in placeholders.items():
            plain = lab(*words, "--format", f"{{{{.{name}}}}}")
            table = lab(*words, "--format", f"table {{{{.{name}}}}}")
            value = (plain.out.splitlines() or [""])[0]
            if plain.code or not re.fullmatch(pattern, value) or table.out.splitlines()[:1] != [header]:
                wrong.append((words, name, plain, table))
    assert wrong == []


def test_every_placeholder_of_the_details_of_disk_usage_has_its_value(lab: Minidock) -> None:
    wrong = []
    for rows, placeholders in DETAILS.items():
        for name, pattern in placeholders.items():
            said = lab(
                "system", "df", "-v", "--format", f"{{{{range .{rows}}}}}{{{{.{name}}}}}{{{{println}}}}{{{{end}}}}"
            )
            values = said.out.splitlines()
            if said.code or not any(re.fullmatch(pattern, value) for value in values):
                wrong.append((rows, name, said))
    assert wrong == []


def test_raw_lists_are_blocks(lab: Minidock) -> None:
    def names(*words: str) -> list[str]:
        said = lab(*words, "--format", "raw")
        assert said.code == 0
        return [line.partition(":")[0] for line in said.out.split("\n\n")[0].splitlines()]

    assert names("images", "app") == ["repository", "tag", "image_id", "created_at", "virtual_size"]
    assert names("images", "--digests", "app")[2:4] == ["digest", "image_id"]
    states = ["state", "status", "names", "labels", "ports"]
    assert names("ps", "-a") == ["container_id", "image", "command", "created_at", *states]
    assert names("ps", "-as")[-1] == "size"
    assert names("volume", "ls") == ["name", "driver"]
    assert names("network", "ls") == ["network_id", "name", "driver", "scope"]
    assert names("system", "df") == ["type", "total", "active", "size", "reclaimable"]
    assert names("system", "df", "-v")[:2] == ["type", "repository"]
    kinds = re.findall(r"^type: (.*)$", lab("system", "df", "-v", "--format", "raw").out, re.MULTILINE)
    assert list(dict.fromkeys(kinds)) == ["Image", "Container", "Volume", "Build Cache"]
    assert lab("volume", "ls", "-q", "--format", "raw").out == "name: data\n"
    assert lab("history", "--format", "raw", "other:1").out == "raw\n"
    assert lab("inspect", "-f", "raw", "box").out == "raw\n"


def test_quiet_leaves_a_format_of_ones_own_but_for_containers(lab: Minidock) -> None:
    assert lab("images", "-q", "--format", "{{.Tag}}", "app").out == "1\n"
    assert lab("images", "--digests", "--format", "table {{.Tag}}", "app").out.split()[:2] == ["TAG", "DIGEST"]
    assert lab("volume", "ls", "-q", "--format", "{{.Driver}}").out == "local\n"
    assert lab("network", "ls", "-q", "-f", "name=net1", "--format", "{{.Driver}}").out == "bridge\n"
    assert lab("history", "-q", "--format", "{{.Size}}", "other:1").out == "6B\n"
    said = lab("ps", "-aq", "--format", "{{.Names}}")
    assert (re.fullmatch(ID, said.out.strip()) is not None, "Ignoring custom format" in said.err) == (True, True)


FILTERS = {
    ("images", "{{.Repository}}"): [
        ("dangling=true", ""),
        ("dangling=false", "app other"),
        ("label=stage", "app"),
        ("label=stage=dev", "app"),
        ("label=stage=prod", ""),
        ("before=other:1", "app"),
        ("since=app:1", "other"),
        ("reference=a*", "app"),
        ("until=1h", ""),
        ("until=2100-01-01", "app other"),
    ],
    ("ps -a", "{{.Names}}"): [
        ("id=zz", ""),
        ("name=bo", "box"),
        ("label=k", "box"),
        ("label=k=x", ""),
        ("exited=0", ""),
        ("status=created", "box"),
        ("ancestor=app:1", "box"),
        ("ancestor=other:1", ""),
        ("before=box", ""),
        ("since=box", ""),
        ("volume=data", "box"),
        ("network=net1", "box"),
        ("publish=80", ""),
        ("expose=80/tcp", ""),
        ("health=none", "box"),
        ("health=starting", ""),
        ("isolation=default", "box"),
        ("is-task=false", "box"),
        ("is-task=true", ""),
    ],
    ("volume ls", "{{.Name}}"): [
        ("dangling=true", ""),
        ("dangling=false", "data"),
        ("driver=local", "data"),
        ("driver=nfs", ""),
        ("label=a=b", "data"),
        ("name=at", "data"),
    ],
    ("network ls", "{{.Name}}"): [
        ("driver=host", "host"),
        ("id=zz", ""),
        ("label=n=1", "net1"),
        ("name=net", "net1"),
        ("scope=swarm", ""),
        ("type=custom", "net1"),
        ("type=builtin", "bridge host none"),
        ("dangling=true", ""),
    ],
    ("events --since 1h --until 0s", "{{.Type}}"): [
        ("container=box", "container"),
        ("daemon=x", ""),
        ("event=create", "container network volume"),
        ("image=app:1", "container"),
        ("label=k", "container"),
        ("network=net1", "network"),
        ("scope=swarm", ""),
        ("type=volume", "volume"),
        ("volume=data", "volume"),
        *((f"{kind}=x", "") for kind in ("plugin", "node", "service", "config", "secret")),
    ],
}


def test_every_filter_of_a_list_leaves_what_it_names(lab: Minidock) -> None:
    found, expected = {}, {}
    for (command, template), cases in FILTERS.items():
        for text, names in cases:
            said = lab(*command.split(), "--filter", text, "--format", template)
            found[command, text] = " ".join(sorted(set(said.out.split()))) if said.code == 0 else said.err
            expected[command, text] = names
        assert lab(*command.split(), "--filter", "nonsense=1").code == 1
    assert found == expected


def test_a_prune_of_everything_takes_what_filters_leave(lab: Minidock) -> None:
    def pruned(*words: str) -> Said:
        return lab("system", "prune", "-f", "-a", *words)

    assert lab("system", "prune", "--filter", "label=x=y", answer="n").out.endswith(
        "  - unused build cache\n\n  Items to be pruned will be filtered with:\n  - label=x=y\n\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert pruned("--dry-run", "--filter", "label=nobody").out == "Total reclaimable space: 0B (0 bytes)\n"
    assert pruned("--filter", "until=24h").out == "Total reclaimed space: 0B\n"
    assert pruned("--filter", "until=24h", "--volumes").err == (
        'minidock: ERROR: The "until" filter is not supported with "--volumes"\n'
    )
    assert pruned("--filter", "bogus=1").err == "minidock: invalid filter 'bogus'\n"
    foretold, done = pruned("--dry-run", "--filter", "label=k"), pruned("--filter", "label=k")
    assert "Would delete Containers:" in foretold.out
    assert "untagged" not in done.out
    assert foretold.out.split("\n\n")[0].splitlines()[1:] == done.out.split("\n\n")[0].splitlines()[1:]
    assert lab("ps", "-aq").out == ""
    assert lab("network", "ls", "-q", "-f", "name=net1").out != ""
