"""/etc/hosts and /etc/resolv.conf of a container, as docker makes them."""

from __future__ import annotations

from minidock.core.networking import HOST_GATEWAY, HOST_NAMES, Networking, NetworkKind

_LOCAL_NAMES = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def resolvers(text: bytes) -> list[str]:
    """Return the name servers of a resolv.conf, without the names of their interfaces."""
    lines = [line.split() for line in text.decode("utf-8", "surrogateescape").splitlines()]
    found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return [address for address in found if "%" not in address]


def resolv_conf(networking: Networking, host: bytes) -> bytes:
    """Return a container's resolv.conf: the gateway answers in a network of its own; else the host's, with options."""
    lines = [line.split() for line in host.decode("utf-8", "surrogateescape").splitlines()]
    is_private = networking.kind is NetworkKind.PRIVATE
    if not is_private and not (networking.dns or networking.dns_search or networking.dns_options):
        return host
    search = list(networking.dns_search) or [word for words in lines if words[:1] == ["search"] for word in words[1:]]
    options = list(networking.dns_options) or [
        word for words in lines if words[:1] == ["options"] for word in words[1:]
    ]
    servers = list(networking.dns) or resolvers(host)
    if is_private:
        asked = [gateway for one in networking.endpoints for gateway in (one.gateway or one.gateway6,)][:1]
    else:
        asked = servers
    text = "".join(f"nameserver {address}\n" for address in asked)
    if search and search != ["."]:
        text += f"search {' '.join(search)}\n"
    if options:
        text += f"options {' '.join(options)}\n"
    if is_private:
        text += f"# The name server is minidock's, which asks these: {' '.join(servers) or 'none'}\n"
    return text.encode()


def step_hosts(networking: Networking, hostname: str) -> bytes:
    """Return the /etc/hosts of a build step, on whatever network: nothing of the host's, which differs between hosts.

    Source: BuildKit, executor/oci/hosts.go.
    """
    text = f"127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    for name, address in networking.extra_hosts:
        text += f"{'127.0.0.1' if address == HOST_GATEWAY else address}\t{name}\n"
    return text.encode("utf-8", "surrogateescape")


def hosts(networking: Networking, hostname: str, host: bytes) -> bytes:
    """Return a container's /etc/hosts; ``host`` is the host's where they share the network, else empty."""
    text = host.decode("utf-8", "surrogateescape") or _LOCAL_NAMES
    if not text.endswith("\n"):
        text += "\n"
    gateway = networking.endpoints[0].gateway if networking.endpoints else "127.0.0.1"
    extra = [(name, gateway if address == HOST_GATEWAY else address) for name, address in networking.extra_hosts]
    if networking.opens_host:
        extra += [(name, gateway) for name in HOST_NAMES if name not in dict(extra)]
    text += "".join(f"{address}\t{name}\n" for name, address in extra)
    if hostname:
        full = f"{hostname}.{networking.domain}" if networking.domain else hostname
        first, dot, _ = full.partition(".")
        names = f"{full} {first}" if dot else full
        own = [
            address.partition("/")[0]
            for one in networking.endpoints
            for address in (one.address, one.address6)
            if address
        ]
        if not own and networking.kind is not NetworkKind.NONE:
            own = ["127.0.1.1"]
        text += "".join(f"{address}\t{names}\n" for address in own)
    return text.encode("utf-8", "surrogateescape")
