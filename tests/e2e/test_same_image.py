"""The same Dockerfile gives the same image whoever builds it: root, a user with ranges of ids, one without other ids.

The packages come from one folder, fetched once: what a registry has may change between two builds.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from minidock.core.id_mode import IdMode
from tests.e2e.builders import EPOCH, Builder, written
from tests.other_users import PLAIN_ID, become_plain, can_have_ranges, public_place, python_for_everybody, ranged_user

pytestmark = pytest.mark.slow

OWNERS = """\
FROM debian
RUN mkdir /srv/a && cd /srv/a && touch f g && chown 33:42 f g && chown 0:0 g && chmod 4755 f
RUN mknod /srv/null c 1 3 && useradd -m app && ln -s x /srv/l && chown -h 7:8 /srv/l && mv /srv/l /srv/m
COPY --chown=app:www-data Dockerfile /srv/df
USER app
RUN touch ~/mine && id > ~/id && env | grep EPOCH > ~/epoch
USER root
RUN chown -R app /srv/a && install -o www-data -g 4 -m 2755 /bin/true /srv/tool
RUN tar -C /srv -cf /tmp/a.tar --owner=5 --group=6 a && mkdir /x && tar -C /x -xpf /tmp/a.tar && rm /tmp/a.tar
"""
PACKAGES = """\
FROM debian
COPY packages /packages
RUN rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/packages ./' >/etc/apt/sources.list
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y nginx{cleaning}
"""
INPUTS = """\
FROM debian AS made
COPY src /src
COPY --link src/a /linked/
COPY --link --chmod=700 --chown=7:8 src/deep /linked/deep
COPY --parents src/deep/b /parents/
ADD --chown=www-data a.tar /archive/
COPY <<ONE <<"TWO" /documents/
$PATH
ONE
$PATH
TWO
RUN --mount=type=cache,target=/cache echo x >/cache/y && cp /cache/y /from-cache
RUN --mount=type=bind,source=src,target=/b cp /b/a /from-bind
RUN --mount=type=bind,source=src,target=/w/in,rw touch /w/in/x
RUN --mount=type=tmpfs,target=/tm --mount=type=secret,id=s --mount=type=secret,id=s,env=S touch /tm/x && mkdir -p /q/r
RUN hostname >/name && umask >/mask && date +%Z >/zone && umask 077 && mkdir /private
RUN <<END
ls -l /private /src >/listed
END
USER www-data
WORKDIR /work/deep
FROM scratch
COPY --from=made / /all
COPY --from=made --link /src /again
"""
# Where, when and how somebody builds: the times of the files, the umask and the environment.
CIRCUMSTANCES = (
    (-5_000_000, 0o022, {"TZ": "UTC"}),
    (+5_000_000, 0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8", "HOME": "/nowhere"}),
    (0, 0o002, {"TZ": "America/New_York", "LANG": "C", "TMPDIR": "/var/tmp", "COLUMNS": "40"}),
)
CLEANING = (
    " && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/ldconfig/aux-cache /etc/machine-id "
    "/var/cache/apt/*.bin"
)
# What tells of a time or of this machine; docs/compatibility.md names the same.
OF_THE_MOMENT = re.compile(
    r"var/log/(apt/.*|dpkg\.log|alternatives\.log|bootstrap\.log)|var/cache/(ldconfig/aux-cache|apt/\w+\.bin)"
    r"|var/lib/apt/lists/.*|etc/machine-id"
)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with public_place() as path:
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def builders(place: Path, debian: Path) -> Iterator[list[Builder]]:
    """Root, a plain user and, where there can be one, a user with ranges of ids, each with the image `debian`."""
    shutil.copy(debian, place / "debian.tar")
    (place / "plain").mkdir()
    os.chown(place / "plain", PLAIN_ID, PLAIN_ID)
    python = python_for_everybody()
    found = [
        Builder(place / "root/store", sys.executable, None, 0, IdMode.ROOT),
        Builder(place / "plain/store", python, become_plain, PLAIN_ID, IdMode.SINGLE),
    ]
    with ExitStack() as stack:
        if can_have_ranges():
            user = stack.enter_context(ranged_user())
            (place / "ranged").mkdir()
            os.chown(place / "ranged", user.uid, user.gid)
            found.append(Builder(place / "ranged/store", python, user.become, user.uid, IdMode.RANGE))
        for builder in found:
            builder.run("import", str(place / "debian.tar"), "debian")
        yield found
        for builder in found:
            builder.run("system", "reset", "-f")


@pytest.fixture(scope="module")
def packages(place: Path, builders: list[Builder]) -> Path:
    """A folder with nginx and all that it needs, and the list that apt wants to see there."""
    folder = place / "packages"
    folder.mkdir()
    script = "apt-get update && mkdir -p /out/partial && apt-get install -dy -o Dir::Cache::archives=/out nginx"
    builders[0].run("run", "--rm", "-v", f"{folder}:/out", "debian", "sh", "-c", script)
    shutil.rmtree(folder / "partial")
    (folder / "lock").unlink(missing_ok=True)
    texts = []
    for file in sorted(folder.iterdir()):
        control = subprocess.run(["dpkg-deb", "-f", str(file)], check=True, capture_output=True, text=True).stdout
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        texts.append(f"{control}Filename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n")
        file.chmod(0o644)
    assert texts
    (folder / "Packages").write_text("\n".join(texts))
    (folder / "Packages").chmod(0o644)
    folder.chmod(0o755)
    return folder


def test_owners_modes_devices_and_users_are_the_same(place: Path, builders: list[Builder]) -> None:
    context = written(place, "owners", OWNERS)
    first, *others = [builder.build(context) for builder in builders]
    assert others == [first] * len(others)


def test_installed_packages_are_the_same(place: Path, builders: list[Builder], packages: Path) -> None:
    context = written(place, "nginx", PACKAGES.format(cleaning=CLEANING))
    shutil.copytree(packages, context / "packages")
    first, *others = [builder.build(context) for builder in builders]
    assert others == [first] * len(others)


def test_what_was_not_cleaned_differs_by_what_is_of_the_moment(
    place: Path, builders: list[Builder], packages: Path
) -> None:
    context = written(place, "dirty", PACKAGES.format(cleaning=""))
    shutil.copytree(packages, context / "packages", dirs_exist_ok=True)
    first, *others = [builder.entries(builder.build(context)) for builder in builders]
    for other in others:
        different = {path for path in first.keys() | other.keys() if first.get(path) != other.get(path)}
        assert {path for path in different if not OF_THE_MOMENT.fullmatch(path)} == set()


def checkout(place: Path, name: str, mtime: int) -> Path:
    """Return a context whose files all have one time."""
    context = written(place, name, INPUTS)
    (context / "src/deep").mkdir(parents=True)
    (context / "src/a").write_text("a")
    (context / "src/deep/b").write_text("b")
    (context / "src/l").symlink_to("a")
    member = tarfile.TarInfo("d/f")
    member.mtime, member.uid, member.mode = EPOCH - 1_000_000_000, 5, 0o600
    with tarfile.open(context / "a.tar", "w") as tar:
        tar.addfile(member)
    (context.parent / "token").write_text("a-secret")
    (context.parent / "token").chmod(0o644)
    for path in [context, *context.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (mtime, mtime), follow_symlinks=False)
    return context


def digest_of(path: Path) -> str:
    """Return what a file holds, or all of a directory that a plain user can have: no devices and no setuid bits."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = []
    for item in sorted(path.rglob("*")):
        status = item.lstat()
        content = os.readlink(item) if item.is_symlink() else item.read_bytes() if item.is_file() else b""
        if item.is_symlink() or item.is_file() or item.is_dir():
            found.append((str(item.relative_to(path)), status.st_mode & 0o777, status.st_mtime, content))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def test_images_and_outputs_are_the_same_from_any_checkout_in_any_environment(
    place: Path, builders: list[Builder]
) -> None:
    outputs = ("type=oci,dest={}", "type=docker,dest={}", "type=tar,dest={}", "type=oci,dest={},compression=gzip", "{}")
    results = []
    for number, builder in enumerate(builders):
        time, umask, variables = CIRCUMSTANCES[number % len(CIRCUMSTANCES)]
        context = checkout(place, f"{'sub/' * number}checkout{number}", EPOCH + time)
        with public_place() as out:
            os.chown(out, builder.uid, builder.uid)
            words = ("build", "-q", "--secret", f"id=s,src={context.parent / 'token'}", str(context))
            more = {"variables": variables, "umask": umask}
            found = [builder.run(*words, **more).strip()]
            for at, output in enumerate(outputs):
                builder.run(*words, "-o", output.format(out / str(at)), **more)
                found.append(digest_of(out / str(at)))
            results.append(found)
    assert results == [results[0]] * len(results)
