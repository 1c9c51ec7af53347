"""Options of docker's `build` of which most change nothing here; each says so, once, where one might expect more."""

from collections.abc import Iterator
from typing import Annotated

import typer

from minidock.core.build_options import CacheOption, is_attest_disabled
from minidock.core.dataclass import dataclass
from minidock.core.dockerfile.entitlements import DEVICE, parse_entitlement
from minidock.core.truth import FALSE
from minidock.errors import InvalidRequest

_NOT_MADE = "no attestations are made"
_CACHES = ("local", "registry")
_OWN_CACHE = "of other caches only those of type=local,dest=DIR and type=registry,ref=NAME are known"


@dataclass(frozen=True, slots=True)
class BuildOthers:
    """Options of other builders."""

    allow: Annotated[
        tuple[str, ...],
        typer.Option(
            "--allow",
            metavar="list",
            help='Allow extra privileged entitlement (e.g., "network.host", "security.insecure")',
        ),
    ] = ()
    attest: Annotated[
        tuple[str, ...],
        typer.Option(
            "--attest", metavar="list", help='Attestation parameters (format: "type=sbom,generator=image") (no effect)'
        ),
    ] = ()
    builder: Annotated[str, typer.Option("--builder", help="Override the configured builder instance (no effect)")] = ""
    cache_from: Annotated[
        tuple[tuple[CacheOption, ...], ...],
        typer.Option(
            "--cache-from",
            parser=CacheOption.parse_list,
            metavar="list",
            help='External cache sources (e.g., "user/app:cache", "type=local,src=path/to/dir")',
        ),
    ] = ()
    cache_to: Annotated[
        tuple[tuple[CacheOption, ...], ...],
        typer.Option(
            "--cache-to",
            parser=CacheOption.parse_list,
            metavar="list",
            help='Cache export destinations (e.g., "user/app:cache", "type=local,dest=path/to/dir")',
        ),
    ] = ()
    cgroup_parent: Annotated[
        str,
        typer.Option(
            "--cgroup-parent", help='Set the parent cgroup for the "RUN" instructions during build (no effect)'
        ),
    ] = ""
    compress: Annotated[bool, typer.Option("--compress", hidden=True, help="Compress the build context using gzip")] = (
        False
    )
    debug: Annotated[bool, typer.Option("--debug", "-D", help="Enable debug logging (no effect)")] = False
    disable_content_trust: Annotated[
        bool, typer.Option("--disable-content-trust", hidden=True, help="Skip image verification (deprecated)")
    ] = True
    force_rm: Annotated[bool, typer.Option("--force-rm", hidden=True, help="Always remove intermediate containers")] = (
        False
    )
    isolation: Annotated[str, typer.Option("--isolation", hidden=True, help="Container isolation technology")] = ""
    policy: Annotated[
        tuple[str, ...], typer.Option("--policy", metavar="list", help="Policy configuration (no effect)")
    ] = ()
    provenance: Annotated[
        str, typer.Option("--provenance", help='Shorthand for "--attest=type=provenance" (no effect)')
    ] = ""
    pull: Annotated[bool, typer.Option("--pull", help="Always attempt to pull all referenced images")] = False
    rm: Annotated[
        bool,
        typer.Option("--rm", hidden=True, help="Remove intermediate containers after a successful build"),
    ] = True
    sbom: Annotated[str, typer.Option("--sbom", help='Shorthand for "--attest=type=sbom" (no effect)')] = ""
    security_opt: Annotated[
        tuple[str, ...], typer.Option("--security-opt", hidden=True, metavar="list", help="Security options")
    ] = ()
    squash: Annotated[
        bool, typer.Option("--squash", hidden=True, help="Squash newly built layers into a single new layer")
    ] = False

    def allowed(self) -> tuple[str, ...]:
        """Return the entitlements that are given. Raises: InvalidRequest."""
        return tuple(parse_entitlement(text) for text in filter(None, self.allow))

    def sources(self) -> tuple[CacheOption, ...]:
        """Return where layers for the steps may be."""
        return tuple(option for options in self.cache_from for option in options)

    def destinations(self) -> tuple[CacheOption, ...]:
        """Return where layers are put for other builds."""
        return tuple(option for options in self.cache_to for option in options)

    def remarks(self) -> Iterator[str]:
        """Yield a line for each option that was given and has no effect. Raises: InvalidRequest for --squash."""
        if self.squash:
            raise InvalidRequest("--squash is not supported: copy the files of one stage into another instead")
        attests = [text for text in self.attest if not is_attest_disabled(text)]
        reasons = {
            "allow device": (DEVICE in self.allowed(), "steps are given no devices"),
            "attest": (attests, _NOT_MADE),
            "builder": (self.builder not in ("", "default"), "there is one builder, this program"),
            "cache-from": (any(item.type not in _CACHES for item in self.sources()), _OWN_CACHE),
            "cache-to": (any(item.type not in _CACHES for item in self.destinations()), _OWN_CACHE),
            "cgroup-parent": (self.cgroup_parent, "steps run in a group of the caller's own"),
            "compress": (self.compress, "the context is read where it is"),
            "debug": (self.debug, "nothing more is known than --progress=plain shows"),
            "disable-content-trust": (not self.disable_content_trust, "images are not signed"),
            "isolation": (self.isolation not in ("", "default"), "Linux knows one kind"),
            "policy": (self.policy, "policies are not evaluated"),
            "provenance": (self.provenance not in FALSE | {""}, _NOT_MADE),
            "rm": (not self.rm, "no container stays behind a step"),
            "sbom": (self.sbom not in FALSE | {""}, _NOT_MADE),
            "security-opt": (self.security_opt, "steps run with docker's default confinement"),
        }
        for name, (is_given, reason) in reasons.items():
            if is_given:
                yield f"--{name} has no effect: {reason}"
