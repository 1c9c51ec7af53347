"""Lists against what docker printed for the same rows, to the blank."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from minidock.core.digest import Digest
from minidock.core.summary import (
    CacheRow,
    ContainerRow,
    ContainerState,
    DiskUsage,
    HistoryRow,
    ImageRow,
    ImageUsage,
    UsageKind,
    UsageRow,
    VolumeRow,
)
from minidock.render import fields, tables
from minidock.render.console import Console
from minidock.render.formats import Format

NOW = datetime(2026, 11, 23, 15, 45, 55, tzinfo=UTC)
APP = Digest("b73f8dc484ae530b4e3cabc8dd159ab650217ac1ddfd151afdb2bfcc50f1f9d8")
COPY = Digest("1ad215767abf35d519ce116c6ffe5139273edd70fdfdfb6b1361e03106c78cd9")
BASE = Digest("ff8a924b7cd9cec3971614afc8641bfbf405b23de69b5ff4baf22700455eae61")


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def console() -> Console:
    return Console(io.StringIO(), io.StringIO(), NOW, UTC)


def output(console: Console) -> str:
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue()


IMAGES = [
    ImageRow("app", "2", "", APP, before(0.4), 2_289_760),
    ImageRow("", "", "", COPY, before(57), 2_289_760),
    ImageRow("base", "1", "sha256:abc", BASE, before(59), 1_982_520),
]


def test_images_read_as_in_docker() -> None:
    shown = console()
    tables.print_images(shown, IMAGES)
    assert output(shown) == (
        "REPOSITORY   TAG       IMAGE ID       CREATED                  SIZE\n"
        "app          2         b73f8dc484ae   Less than a second ago   2.29MB\n"
        "<none>       <none>    1ad215767abf   57 seconds ago           2.29MB\n"
        "base         1         ff8a924b7cd9   59 seconds ago           1.98MB\n"
    )


def test_digests_are_the_third_column_of_images() -> None:
    shown = console()
    tables.print_images(shown, IMAGES[2:], has_digests=True, is_cut=False)
    assert output(shown) == (
        "REPOSITORY   TAG       DIGEST       IMAGE ID                                            "
        "                      CREATED          SIZE\n"
        f"base         1         sha256:abc   {BASE}   59 seconds ago   1.98MB\n"
    )


def test_quiet_images_are_ids_one_for_each_tag() -> None:
    short, whole = console(), console()
    tables.print_images(short, IMAGES, is_quiet=True)
    tables.print_images(whole, IMAGES[:1], is_quiet=True, is_cut=False)
    assert output(short) == "b73f8dc484ae\n1ad215767abf\nff8a924b7cd9\n"
    assert output(whole) == f"{APP}\n"


def test_images_as_json_are_dockers_lines() -> None:
    shown = console()
    tables.print_images(shown, [ImageRow("lab", "1", "", APP, before(1), 1_982_523)], shape=Format.JSON)
    assert output(shown) == (
        '{"Containers":"N/A","CreatedAt":"2026-11-23 15:45:54 +0000 UTC","CreatedSince":"1 second ago",'
        '"Digest":"\\u003cnone\\u003e","ID":"b73f8dc484ae","Repository":"lab","SharedSize":"N/A","Size":"1.98MB",'
        '"Tag":"1","UniqueSize":"N/A","VirtualSize":"1.983MB"}\n'
    )


def test_an_image_that_says_no_time_has_no_age() -> None:
    row = fields.image_fields(ImageRow("a", "b", "", APP, None, 0), console(), is_cut=True)
    assert (row["CreatedSince"], row["CreatedAt"]) == ("N/A", "N/A")


HISTORY = [
    HistoryRow(APP, before(1), 'ENTRYPOINT ["/opt/app.sh"]', 0, "buildkit.dockerfile.v0"),
    HistoryRow(
        None, before(58), "RUN /bin/sh -c dd if=/dev/zero of=/big.bin bs=1024 count=300 # buildkit", 307_200, ""
    ),
    HistoryRow(None, before(58), "RUN /bin/sh -c echo one > /one.txt # buildkit", 4, ""),
    HistoryRow(None, datetime(2000, 1, 1, tzinfo=UTC), "RUN <<EOT\n\techo\nEOT", 36, ""),
    HistoryRow(BASE, None, "", 1_982_520, "Imported from -"),
]


def test_history_reads_as_in_docker() -> None:
    shown = console()
    tables.print_history(shown, HISTORY)
    assert output(shown) == (
        "IMAGE          CREATED          CREATED BY                                      SIZE      COMMENT\n"
        'b73f8dc484ae   1 second ago     ENTRYPOINT ["/opt/app.sh"]                      0B        '
        "buildkit.dockerfile.v0\n"
        "<missing>      58 seconds ago   RUN /bin/sh -c dd if=/dev/zero of=/big.bin b…   307kB     \n"
        "<missing>      58 seconds ago   RUN /bin/sh -c echo one > /one.txt # buildkit   4B        \n"
        "<missing>      N/A              RUN <<EOT  echo EOT                             36B       \n"
        "ff8a924b7cd9   N/A                                                              1.98MB    Imported from -\n"
    )


def test_history_for_machines_has_stamps_and_bytes() -> None:
    shown = console()
    tables.print_history(shown, [HISTORY[1], HISTORY[4]], is_human=False)
    assert output(shown) == (
        "IMAGE          CREATED AT             CREATED BY                                      SIZE      COMMENT\n"
        "<missing>      2026-11-23T15:44:57Z   RUN /bin/sh -c dd if=/dev/zero of=/big.bin b…   307200    \n"
        "ff8a924b7cd9   0001-01-01T00:00:00Z                                                   1982520   "
        "Imported from -\n"
    )


def test_history_as_json_is_cut_unless_told_otherwise() -> None:
    cut, whole, names = console(), console(), console()
    tables.print_history(cut, HISTORY[:1], shape=Format.JSON)
    tables.print_history(whole, HISTORY[2:3], shape=Format.JSON, is_cut=False)
    tables.print_history(names, HISTORY[:2], is_quiet=True, is_cut=False)
    assert output(cut) == (
        '{"Comment":"buildkit.dockerfile.v0","CreatedAt":"2026-11-23T15:45:54Z",'
        '"CreatedBy":"ENTRYPOINT [\\"/opt/app.sh\\"]","CreatedSince":"1 second ago","ID":"b73f8dc484ae","Size":"0B"}\n'
    )
    assert output(whole) == (
        '{"Comment":"","CreatedAt":"2026-11-23T15:44:57Z",'
        '"CreatedBy":"RUN /bin/sh -c echo one \\u003e /one.txt # buildkit",'
        '"CreatedSince":"58 seconds ago","ID":"\\u003cmissing\\u003e","Size":"4B"}\n'
    )
    assert output(names) == f"{APP}\n<missing>\n"


def test_times_of_another_zone_carry_their_offset() -> None:
    zone = timezone(timedelta(hours=1), "CET")
    assert fields.rfc3339(NOW, zone) == "2026-11-23T16:45:55+01:00"
    assert fields.go_time(NOW.replace(microsecond=120_400), zone) == "2026-11-23 16:45:55.1204 +0100 CET"


CONTAINERS = [
    ContainerRow(
        id="c62a9c22c169" + "0" * 52,
        image="base:1",
        command="sleep 1000",
        created=before(0.5),
        state=ContainerState.RUNNING,
        started_at=before(0.2),
        ports=("443/tcp", "0.0.0.0:8080->80/tcp"),
        names=("ported",),
        size_root=1_982_520,
    ),
    ContainerRow(
        id="bd1a5239d0a4" + "0" * 52,
        image=str(BASE),
        command="sh -c 'echo hi > /note; sleep 9'",
        created=before(8),
        state=ContainerState.EXITED,
        exit_code=3,
        started_at=before(8),
        finished_at=before(7),
        names=("web2",),
        size_rw=50_000,
        size_root=2_032_520,
        mounts=("vol1", "/a/rather/long/path"),
        local_volumes=1,
        labels={"k2": "v2", "k": "v"},
    ),
]


def test_containers_read_as_in_docker() -> None:
    shown = console()
    tables.print_containers(shown, CONTAINERS, has_sizes=True)
    assert output(shown) == (
        "CONTAINER ID   IMAGE          COMMAND                  CREATED                  STATUS"
        "                     PORTS                           NAMES     SIZE\n"
        'c62a9c22c169   base:1         "sleep 1000"             Less than a second ago   Up Less than a second'
        "      443/tcp, 0.0.0.0:8080->80/tcp   ported    0B (virtual 1.98MB)\n"
        'bd1a5239d0a4   ff8a924b7cd9   "sh -c \'echo hi > /n…"   8 seconds ago            Exited (3) 7 seconds ago'
        "                                   web2      50kB (virtual 2.03MB)\n"
    )


def test_no_containers_are_the_headers() -> None:
    shown = console()
    tables.print_containers(shown, [])
    assert output(shown) == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def test_containers_as_json_are_dockers_lines() -> None:
    shown = console()
    tables.print_containers(shown, CONTAINERS[1:], shape=Format.JSON)
    assert output(shown) == (
        '{"Command":"\\"sh -c \'echo hi \\u003e /n…\\"","CreatedAt":"2026-11-23 15:45:47 +0000 UTC",'
        '"HealthStatus":"","ID":"bd1a5239d0a4","Image":"ff8a924b7cd9","Labels":"k=v,k2=v2","LocalVolumes":"1","Mounts":"vol1,/a/rather/long…","Names":"web2",'
        '"Networks":"","Platform":null,"Ports":"","RunningFor":"8 seconds ago","Size":"50kB (virtual 2.03MB)",'
        '"State":"exited","Status":"Exited (3) 7 seconds ago"}\n'
    )


def test_what_the_checks_say_is_a_field_of_its_own() -> None:
    shown = console()
    row = CONTAINERS[0]._replace(state=ContainerState.RUNNING, health="starting")
    tables.print_containers(shown, [row], shape=Format.parse("{{.HealthStatus}} {{.Status}}"))
    assert output(shown) == f"starting {fields.status(row, shown.now)}\n"


def test_quiet_containers_win_over_a_format_and_say_so() -> None:
    shown = console()
    tables.print_containers(shown, CONTAINERS[:1], shape=Format.JSON, is_quiet=True, is_cut=False)
    assert isinstance(shown.err, io.StringIO)
    assert output(shown) == f"c62a9c22c169{'0' * 52}\n"
    assert shown.err.getvalue() == (
        "WARNING: Ignoring custom format, because both --format and --quiet are set.\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ContainerState.CREATED, "Created"),
        (ContainerState.RUNNING, "Up 47 seconds"),
        (ContainerState.PAUSED, "Up 47 seconds (Paused)"),
        (ContainerState.RESTARTING, "Restarting (4) 3 seconds ago"),
        (ContainerState.EXITED, "Exited (4) 3 seconds ago"),
        (ContainerState.REMOVING, "Removal In Progress"),
        (ContainerState.DEAD, "Dead"),
    ],
)
def test_states_have_dockers_words(state: ContainerState, expected: str) -> None:
    row = ContainerRow("a" * 64, "i", "c", before(50), state, 4, before(47), before(3))
    assert fields.status(row, NOW) == expected


def test_volumes_read_as_in_docker() -> None:
    rows = [VolumeRow("myvol", "local", "/root/volumes/myvol/_data")]
    table, names, lines = console(), console(), console()
    tables.print_volumes(table, rows)
    tables.print_volumes(names, rows, is_quiet=True)
    tables.print_volumes(lines, rows, shape=Format.JSON)
    assert output(table) == "DRIVER    VOLUME NAME\nlocal     myvol\n"
    assert output(names) == "myvol\n"
    assert output(lines) == (
        '{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"","Links":"N/A",'
        '"Mountpoint":"/root/volumes/myvol/_data","Name":"myvol","Scope":"local","Size":"N/A","Status":"N/A"}\n'
    )


NOTHING = DiskUsage(
    summary=tuple(UsageRow(kind, 0, 0, 0, 0) for kind in UsageKind),
    images=(),
    containers=(),
    volumes=(),
    cache=(),
    on_disk=(),
)
USAGE = DiskUsage(
    summary=(
        UsageRow(UsageKind.IMAGES, 12, 2, 3_812_000, 3_811_999),
        UsageRow(UsageKind.CONTAINERS, 1, 0, 4096, 4096),
        UsageRow(UsageKind.VOLUMES, 1, 1, 0, 0),
        UsageRow(UsageKind.CACHE, 18, 1, 173, 173),
    ),
    images=(ImageUsage(IMAGES[0], 2_289_724, 36, 1),),
    containers=(CONTAINERS[1],),
    volumes=(VolumeRow("vol1", "local", "/v", 1, 2_035_768),),
    cache=(
        CacheRow("79d7lzgm4fta4mhf8ieez26c7", "regular", 0, before(65), None, 0, is_in_use=True, is_shared=False),
        CacheRow("xe2ue4y66a3k", "source.local", 120_036, before(240), before(1), 2, is_in_use=False, is_shared=True),
    ),
    on_disk=(("blobs", 1_990_656), ("snapshots", 430_080)),
)


def test_disk_usage_reads_as_in_docker_and_adds_the_bytes_on_the_disk() -> None:
    shown = console()
    tables.print_disk_usage(shown, USAGE)
    assert output(shown) == (
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"
        "Images          12        2         3.812MB   3.812MB (99%)\n"
        "Containers      1         0         4.096kB   4.096kB (100%)\n"
        "Local Volumes   1         1         0B        0B\n"
        "Build Cache     18        1         173B      173B\n"
        "\n"
        "On disk: 2420736 bytes (2.421MB) = blobs 1990656 + snapshots 430080\n"
    )


def test_disk_usage_of_nothing_in_detail_is_headers() -> None:
    shown = console()
    tables.print_disk_usage(shown, NOTHING, is_verbose=True)
    assert output(shown) == (
        "Images space usage:\n\n"
        "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS\n\n"
        "Containers space usage:\n\n"
        "CONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE      CREATED   STATUS    NAMES\n\n"
        "Local Volumes space usage:\n\n"
        "VOLUME NAME   LINKS     SIZE\n\n"
        "Build cache usage: 0B\n\n"
        "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n\n"
        "On disk: 0 bytes (0B)\n"
    )


def test_disk_usage_in_detail_reads_as_in_docker() -> None:
    shown = console()
    tables.print_disk_usage(shown, USAGE, is_verbose=True)
    lines = output(shown).splitlines()
    assert lines[3] == (
        "app          2         b73f8dc484ae   Less than a second ago   2.29MB    2.29MB        36B           1"
    )
    assert lines[8] == (
        'bd1a5239d0a4   ff8a924b7cd9   "sh -c \'echo hi > /n…"   1               50kB      8 seconds ago'
        "   Exited (3) 7 seconds ago   web2"
    )
    assert lines[13] == "vol1          1         2.036MB"
    assert lines[15:20] == [
        "Build cache usage: 173B",
        "",
        "CACHE ID        CACHE TYPE     SIZE      CREATED              LAST USED      USAGE     SHARED",
        "79d7lzgm4fta*   regular        0B        About a minute ago                  0         false",
        "xe2ue4y66a3k    source.local   120kB     4 minutes ago        1 second ago   2         true",
    ]


def test_disk_usage_as_json_is_a_line_for_each_kind() -> None:
    shown = console()
    tables.print_disk_usage(shown, USAGE, shape=Format.JSON)
    assert output(shown).splitlines()[0] == (
        '{"Active":"2","Reclaimable":"3.812MB (99%)","Size":"3.812MB","TotalCount":"12","Type":"Images"}'
    )
    assert len(output(shown).splitlines()) == 4


def test_disk_usage_in_detail_as_json_is_one_object_without_a_newline() -> None:
    empty, shown = console(), console()
    tables.print_disk_usage(empty, NOTHING, shape=Format.JSON, is_verbose=True)
    tables.print_disk_usage(shown, USAGE, shape=Format.JSON, is_verbose=True)
    assert output(empty) == '{"Images":[],"Containers":[],"Volumes":[],"BuildCache":[]}'
    assert output(shown).startswith(
        '{"Images":[{"Containers":"1","CreatedAt":"2026-11-23 15:45:54 +0000 UTC",'
        f'"CreatedSince":"Less than a second ago","Digest":"","ID":"{APP}","Repository":"app",'
        '"SharedSize":"2.29MB","Size":"2.29MB","Tag":"2","UniqueSize":"36B","VirtualSize":"2.29MB"}],"Containers":[{'
    )
    assert output(shown).endswith(
        '"BuildCache":[{"CacheType":"regular","CreatedAt":"2026-11-23 15:44:50 +0000 UTC",'
        '"CreatedSince":"About a minute ago","Description":"","ID":"79d7lzgm4fta4mhf8ieez26c7*","InUse":"true",'
        '"LastUsedAt":"","LastUsedSince":"","Parent":"","Shared":"false","Size":"0B","UsageCount":"0"},'
        '{"CacheType":"source.local","CreatedAt":"2026-11-23 15:41:55 +0000 UTC","CreatedSince":"4 minutes ago",'
        '"Description":"","ID":"xe2ue4y66a3k","InUse":"false","LastUsedAt":"2026-11-23 15:45:54 +0000 UTC",'
        '"LastUsedSince":"1 second ago","Parent":"","Shared":"true","Size":"120kB","UsageCount":"2"}]}'
    )
