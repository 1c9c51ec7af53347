"""The options of `run` and `create` that concern the network."""

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from minidock.core.dataclass import dataclass
from minidock.core.networking import HOST_GATEWAY, NetworkChoice
from minidock.errors import FlagError, InvalidRequest

if TYPE_CHECKING:
    from minidock.core.networking import NetworkWish


def parse_host(text: str) -> tuple[str, str]:
    """Return (name, address) of ``NAME:ADDRESS`` or ``NAME=ADDRESS``. Raises: FlagError in docker's words."""
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    if not mark or not name:
        raise FlagError(f'bad format for add-host: "{text}"')
    if address == HOST_GATEWAY:
        return name, address
    try:
        return name, str(ipaddress.ip_address(address.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise FlagError(f'invalid IP address in add-host: "{address}"') from error


def parse_address(text: str) -> str:
    """Return an IP address. Raises: FlagError in docker's words."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise FlagError(f"IP address is not correctly formatted: {text}") from error


def parse_network(text: str) -> NetworkChoice:
    """Return the value of ``--network``: a name, or ``name=NAME,alias=…,ip=…``. Raises: FlagError."""
    if "=" not in text:
        return NetworkChoice(text)
    values: dict[str, list[str]] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals or key not in ("name", "alias", "ip", "ip6", "mac-address"):
            raise FlagError(f"invalid field key {key}")
        values.setdefault(key, []).append(value)
    if not values.get("name"):
        raise FlagError("network name/id is not specified")

    def last(key: str) -> str:
        return values.get(key, [""])[-1]

    address, address6 = (parse_address(last(key)) if last(key) else "" for key in ("ip", "ip6"))
    return NetworkChoice(last("name"), tuple(values.get("alias", ())), address, address6, _mac(last("mac-address")))


def _mac(text: str) -> str:
    """Return a hardware address. Raises: InvalidRequest in docker's words."""
    if not text:
        return ""
    parts: Sequence[str] = text.replace("-", ":").split(":")
    if len(parts) != 6 or any(len(part) != 2 or set(part.lower()) - set("0123456789abcdef") for part in parts):
        raise InvalidRequest(f"{text} is not a valid mac address")
    return ":".join(parts).lower()


@dataclass(frozen=True, slots=True)
class NetworkFlags:
    """Which network, which ports, which names."""

    add_hosts: Annotated[
        tuple[tuple[str, str], ...],
        typer.Option("--add-host", parser=parse_host, metavar="list", help="Add a custom host-to-IP mapping (host:ip)"),
    ] = ()
    dns: Annotated[
        tuple[str, ...], typer.Option("--dns", parser=parse_address, metavar="list", help="Set custom DNS servers")
    ] = ()
    dns_options: Annotated[tuple[str, ...], typer.Option("--dns-option", metavar="list", help="Set DNS options")] = ()
    dns_search: Annotated[
        tuple[str, ...], typer.Option("--dns-search", metavar="list", help="Set custom DNS search domains")
    ] = ()
    domainname: Annotated[str, typer.Option("--domainname", help="Container NIS domain name")] = ""
    expose: Annotated[
        tuple[str, ...], typer.Option("--expose", metavar="list", help="Expose a port or a range of ports")
    ] = ()
    ip: Annotated[
        str, typer.Option("--ip", parser=parse_address, metavar="ip", help="IPv4 address (e.g., 172.30.100.104)")
    ] = ""
    ip6: Annotated[
        str, typer.Option("--ip6", parser=parse_address, metavar="ip", help="IPv6 address (e.g., 2001:db8::33)")
    ] = ""
    links: Annotated[tuple[str, ...], typer.Option("--link", metavar="list", help="Add link to another container")] = ()
    mac_address: Annotated[
        str, typer.Option("--mac-address", help="Container MAC address (e.g., 92:d0:c6:0a:29:33)")
    ] = ""
    network: Annotated[
        tuple[NetworkChoice, ...],
        typer.Option("--network", parser=parse_network, metavar="network", help="Connect a container to a network"),
    ] = ()
    aliases: Annotated[
        tuple[str, ...],
        typer.Option("--network-alias", metavar="list", help="Add network-scoped alias for the container"),
    ] = ()
    publish: Annotated[
        tuple[str, ...],
        typer.Option("--publish", "-p", metavar="list", help="Publish a container's port(s) to the host"),
    ] = ()
    publish_all: Annotated[
        bool, typer.Option("--publish-all", "-P", help="Publish all exposed ports to random ports")
    ] = False

    # Names that these options had before, which docker still takes and does not list.
    net: Annotated[
        tuple[NetworkChoice, ...],
        typer.Option("--net", parser=parse_network, metavar="network", hidden=True, help="As --network"),
    ] = ()
    net_aliases: Annotated[
        tuple[str, ...], typer.Option("--net-alias", metavar="list", hidden=True, help="As --network-alias")
    ] = ()
    dns_opts: Annotated[
        tuple[str, ...], typer.Option("--dns-opt", metavar="list", hidden=True, help="As --dns-option")
    ] = ()

    def wish(self) -> "NetworkWish":
        """Return what the options ask for. Raises: InvalidRequest."""
        from minidock.core.networking import Networking, NetworkWish
        from minidock.core.published import parse_expose, parse_publish

        options = Networking(
            published=tuple(dict.fromkeys(port for text in self.publish for port in parse_publish(text))),
            exposed=tuple(port for text in self.expose for port in parse_expose(text)),
            publishes_all=self.publish_all,
            dns=self.dns,
            dns_search=self.dns_search,
            dns_options=(*self.dns_options, *self.dns_opts),
            extra_hosts=self.add_hosts,
            links=tuple(_link(text) for text in self.links),
            domain=self.domainname,
        )
        return NetworkWish(self._choices(), options)

    def _choices(self) -> tuple[NetworkChoice, ...]:
        """Return the networks; what is said outside of ``--network`` is of the first."""
        from dataclasses import replace

        choices, aliases = [*self.network, *self.net], (*self.aliases, *self.net_aliases)
        if not choices and (self.ip or self.ip6 or aliases or self.links or self.mac_address):
            choices = [NetworkChoice("bridge")]
        if choices:
            first = choices[0]
            choices[0] = replace(
                first,
                aliases=(*first.aliases, *aliases),
                address=self.ip or first.address,
                address6=self.ip6 or first.address6,
                mac=_mac(self.mac_address) or first.mac,
            )
        return tuple(choices)


def _link(text: str) -> tuple[str, str]:
    """Return (container, alias) of ``CONTAINER[:ALIAS]``. Raises: InvalidRequest in docker's words."""
    name, _, alias = text.partition(":")
    if not name or ":" in alias:
        raise InvalidRequest(f"bad format for links: {text}")
    return name, alias or name
