"""The options of `run` and `create` that say how a container is called, ended, checked and started again."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from minidock.cli.values import parse_duration_flag
from minidock.core.dataclass import dataclass
from minidock.core.health import HealthCheck
from minidock.core.lifecycle import LifeCycle, RestartPolicy
from minidock.errors import InvalidRequest

_SHORTEST = 1_000_000


@dataclass(frozen=True, slots=True)
class LifeCycleFlags:
    """Name, removal, stopping, restarting, health."""

    name: Annotated[str, typer.Option("--name", help="Assign a name to the container")] = ""
    rm: Annotated[
        bool,
        typer.Option(
            "--rm", help="Automatically remove the container and its associated anonymous volumes when it exits"
        ),
    ] = False
    annotations: Annotated[
        tuple[str, ...],
        typer.Option(
            "--annotation", metavar="map", help="Add an annotation to the container (passed through to the OCI runtime)"
        ),
    ] = ()
    cidfile: Annotated[str, typer.Option("--cidfile", help="Write the container ID to the file")] = ""
    health_cmd: Annotated[str, typer.Option("--health-cmd", help="Command to run to check health")] = ""
    health_interval: Annotated[
        int,
        typer.Option(
            "--health-interval",
            parser=parse_duration_flag,
            metavar="duration",
            help="Time between running the check (ms|s|m|h) (default 0s)",
        ),
    ] = 0
    health_retries: Annotated[
        int, typer.Option("--health-retries", help="Consecutive failures needed to report unhealthy")
    ] = 0
    health_start_interval: Annotated[
        int,
        typer.Option(
            "--health-start-interval",
            parser=parse_duration_flag,
            metavar="duration",
            help="Time between running the check during the start period (ms|s|m|h) (default 0s)",
        ),
    ] = 0
    health_start_period: Annotated[
        int,
        typer.Option(
            "--health-start-period",
            parser=parse_duration_flag,
            metavar="duration",
            help="Start period for the container to initialize before starting health-retries countdown "
            "(ms|s|m|h) (default 0s)",
        ),
    ] = 0
    health_timeout: Annotated[
        int,
        typer.Option(
            "--health-timeout",
            parser=parse_duration_flag,
            metavar="duration",
            help="Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
        ),
    ] = 0
    init: Annotated[
        bool,
        typer.Option("--init", help="Run an init inside the container that forwards signals and reaps processes"),
    ] = False
    log_driver: Annotated[
        str, typer.Option("--log-driver", help="Logging driver for the container (local, json-file, none)")
    ] = ""
    no_healthcheck: Annotated[
        bool, typer.Option("--no-healthcheck", help="Disable any container-specified HEALTHCHECK")
    ] = False
    restart: Annotated[
        str, typer.Option("--restart", help="Restart policy to apply when a container exits", show_default=True)
    ] = "no"
    stop_signal: Annotated[str, typer.Option("--stop-signal", help="Signal to stop the container")] = ""
    stop_timeout: Annotated[
        int | None, typer.Option("--stop-timeout", metavar="int", help="Timeout (in seconds) to stop a container")
    ] = None

    def lifecycle(self, attached: Sequence[str] = (), *, is_made_only: bool = False) -> LifeCycle:
        """Return what the options ask for. Raises: InvalidRequest."""
        restart = RestartPolicy.parse(self.restart)
        if self.rm and restart.is_active:
            raise InvalidRequest("conflicting options: cannot specify both --restart and --rm")
        if self.log_driver not in ("", "local", "json-file", "none"):
            raise InvalidRequest(
                f"logger: no log driver named '{self.log_driver}' is registered", hint="use local, json-file or none"
            )
        return LifeCycle(
            restart=restart,
            stop_seconds=self.stop_timeout,
            has_init=self.init,
            attached=tuple(attached),
            health=self._health(),
            annotations=dict(word.partition("=")[::2] for word in self.annotations),
            log_driver=self.log_driver,
            cid_file=self.cidfile,
            is_made_only=is_made_only,
        )

    def _health(self) -> HealthCheck:
        times = {
            "Interval": self.health_interval,
            "Timeout": self.health_timeout,
            "StartPeriod": self.health_start_period,
            "StartInterval": self.health_start_interval,
        }
        is_any = bool(self.health_cmd or self.health_retries or any(times.values()))
        if self.no_healthcheck:
            if is_any:
                raise InvalidRequest("--no-healthcheck conflicts with --health-* options")
            return HealthCheck(("NONE",))
        for name, value in times.items():
            words = {"StartPeriod": "start period", "StartInterval": "start interval"}.get(name, name.lower())
            if value < 0:
                raise InvalidRequest(f"--health-{words.replace(' ', '-')} cannot be negative")
            if 0 < value < _SHORTEST:
                raise InvalidRequest(f"{name} in Healthcheck cannot be less than 1ms")
        if self.health_retries < 0:
            raise InvalidRequest("--health-retries cannot be negative")
        test = ("CMD-SHELL", self.health_cmd) if self.health_cmd else ()
        return HealthCheck(
            test,
            self.health_interval,
            self.health_timeout,
            self.health_start_period,
            self.health_start_interval,
            self.health_retries,
        )

    @contextmanager
    def cid_file_reserved(self) -> Iterator[Callable[[str], object]]:
        """Make the file for the container's ID; gives what writes the ID into it, else it is removed again.

        Raises: InvalidRequest if the file exists.
        """
        if not self.cidfile:
            yield lambda container_id: None
            return
        try:
            file = open(self.cidfile, "x", encoding="ascii")  # noqa: SIM115  # the with statement follows
        except FileExistsError as error:
            raise InvalidRequest(
                f"container ID file found, make sure the other container isn't running or delete {self.cidfile}"
            ) from error
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise InvalidRequest(f"failed to create the container ID file: open {self.cidfile}: {reason}") from error
        with file:
            try:
                yield file.write
            finally:
                if not file.tell():
                    os.unlink(self.cidfile)
