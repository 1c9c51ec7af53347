"""Origins: what a URL leads to, and which steps are allowed."""

from __future__ import annotations

import pytest

from minidock.errors import RegistryError
from minidock.registry.origin import Origin, check_step, is_local_address, without_query


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://registry.example/v2/", Origin("https", "registry.example", 443)),
        ("HTTPS://Registry.EXAMPLE.:8443/x?y", Origin("https", "registry.example", 8443)),
        ("http://[::1]:5000", Origin("http", "::1", 5000)),
        ("http://127.0.0.1", Origin("http", "127.0.0.1", 80)),
    ],
)
def test_the_origin_of_a_url_is_scheme_host_and_port(url: str, expected: Origin) -> None:
    assert Origin.of(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "registry.example",
        "ftp://registry.example",
        "https://",
        "https://user@registry.example/",
        "https://user:password@registry.example/",
        "https://registry.example:0/",
        "https://registry.example:99999/",
        "https://registry.example\\@elsewhere.example/",
        "https://registry.example/a b",
        "https://regıstry.example/",
        "https://registry.example/\r\nHost: x",
        "https://[::1/",
    ],
)
def test_what_others_could_read_otherwise_is_no_url(url: str) -> None:
    with pytest.raises(RegistryError, match="invalid URL"):
        Origin.of(url)


@pytest.mark.parametrize(
    ("start", "target", "is_allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "https://b.example:8443", True),
        ("http://a.example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "http://b.example", False),
        ("https://a.example", "https://localhost", False),
        ("https://a.example", "https://x.localhost", False),
        ("https://a.example", "https://127.0.0.1", False),
        ("https://a.example", "https://127.1", False),
        ("https://a.example", "https://2130706433", False),
        ("https://a.example", "https://0x7f000001", False),
        ("https://a.example", "https://169.254.169.254", False),
        ("https://a.example", "https://[::1]", False),
        ("https://a.example", "https://[::ffff:127.0.0.1]", False),
        ("https://a.example", "https://[fe80::1]", False),
        ("https://a.example", "https://0.0.0.0", False),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001", True),
        ("https://127.0.0.1:5000", "https://127.0.0.1:5000", True),
    ],
)
def test_a_registry_elsewhere_leads_neither_here_nor_out_of_encryption(
    start: str, target: str, *, is_allowed: bool
) -> None:
    try:
        check_step(Origin.of(start), Origin.of(target))
    except RegistryError as error:
        assert not is_allowed, error
    else:
        assert is_allowed


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8.8.8.8", False), ("10.0.0.1", False), ("fe80::1%eth0", True), ("registry.example", False), ("::", True)],
)
def test_addresses_of_this_machine_are_known(text: str, *, expected: bool) -> None:
    assert is_local_address(text) is expected


def test_messages_show_no_secret_of_a_url() -> None:
    assert without_query("https://u:p@host.example/a?sig=secret#x") == "https://host.example/a"
