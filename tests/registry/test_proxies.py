"""The variables of proxies."""

from __future__ import annotations

import pytest

from minidock.errors import RegistryError
from minidock.registry.origin import Origin
from minidock.registry.proxies import Proxy, proxy_for

PROXY = Proxy(Origin("http", "proxy.example", 3128))
BOTH = {"HTTP_PROXY": "http://plain.example:1", "HTTPS_PROXY": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://r.example", BOTH, PROXY),
        ("http://r.example", BOTH, Proxy(Origin("http", "plain.example", 1))),
        ("https://r.example", {}, None),
        ("https://r.example", {"HTTP_PROXY": "http://plain.example:1"}, None),
        ("https://r.example", {"https_proxy": "proxy.example:3128"}, PROXY),
        ("https://r.example", {"HTTPS_PROXY": "http://a%40:b@proxy.example:3128"}, Proxy(PROXY.origin, "a@", "b")),
        ("https://r.example", {"HTTPS_PROXY": "https://proxy.example"}, Proxy(Origin("https", "proxy.example", 443))),
        ("https://127.0.0.1:5000", BOTH, None),
        ("https://localhost:5000", BOTH, None),
        *(
            ("https://r.example:5000", {**BOTH, "NO_PROXY": text}, expected)
            for text, expected in [
                ("*", None),
                ("r.example", None),
                ("example", None),
                (".example", None),
                ("*.example", None),
                ("x.example, r.example:5000", None),
                ("r.example:443", PROXY),
                ("xr.example", PROXY),
                (".r.example", PROXY),
                ("ample", PROXY),
                ("10.0.0.0/8", PROXY),
                (",,", PROXY),
            ]
        ),
        ("https://10.1.2.3", {**BOTH, "no_proxy": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {**BOTH, "no_proxy": "10.0.0.0/8"}, PROXY),
        ("https://[2001:db8::1]", {**BOTH, "no_proxy": "2001:db8::/32"}, None),
        ("https://[2001:db8::1]", {**BOTH, "no_proxy": "[2001:db8::1]:443"}, None),
    ],
)
def test_a_proxy_is_chosen_as_docker_chooses_it(url: str, environment: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_for(Origin.of(url), environment) == expected


@pytest.mark.parametrize("url", ["socks5://proxy.example", "http://", "http://proxy.example:x"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    with pytest.raises(RegistryError, match="the proxy in HTTPS_PROXY cannot be used"):
        proxy_for(Origin.of("https://r.example"), {"HTTPS_PROXY": url})
    assert "secret" not in repr(Proxy(PROXY.origin, "someone", "secret"))
