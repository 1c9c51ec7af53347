"""All options of `run` and `create` together."""

from __future__ import annotations

import os
from collections.abc import Sequence

from minidock.cli import options, pulling
from minidock.cli.container_flags.lifecycle import LifeCycleFlags
from minidock.cli.container_flags.mounts import MountFlags
from minidock.cli.container_flags.network import NetworkFlags
from minidock.cli.container_flags.process import ProcessFlags
from minidock.cli.container_flags.resources import ResourceFlags
from minidock.cli.container_flags.security import SecurityFlags
from minidock.cli.word_files import env_words, label_words
from minidock.engine.run_request import RunRequest


def request_of(
    image: str,
    args: Sequence[str],
    process: ProcessFlags,
    mounts: MountFlags,
    network: NetworkFlags,
    security: SecurityFlags,
    resources: ResourceFlags,
    lifecycle: LifeCycleFlags,
    *,
    is_detached: bool,
    is_made_only: bool = False,
) -> RunRequest:
    """Return what the command line asks for. Raises: InvalidRequest."""
    pulling.check_policy(process.pull)
    return RunRequest(
        image=image,
        platform=process.platform,
        args=tuple(args),
        entrypoint=process.entrypoint,
        name=lifecycle.name,
        env=(*env_words(process.env_files, os.environ), *process.env),
        environment=os.environ,
        cwd=process.workdir,
        user=process.user,
        mounts=mounts.mount_options(),
        volumes_from=mounts.volumes_from,
        network=network.wish(),
        hostname=process.hostname,
        labels=options.labels((*label_words(process.label_files), *process.labels)),
        stop_signal=lifecycle.stop_signal,
        security=security.security(),
        resources=resources.resources(),
        lifecycle=lifecycle.lifecycle(process.attached(is_detached=is_detached), is_made_only=is_made_only),
        is_read_only=mounts.read_only,
        auto_remove=lifecycle.rm,
        is_detached=is_detached or is_made_only,
        has_terminal=process.tty,
        has_stdin=process.interactive,
    )
