"""Which proxy the environment names for an address, and for which there is none."""

from __future__ import annotations

import pytest

from reconciler.errors import SettingsInvalid
from reconciler.model.proxies import names_proxy, proxy_to

HTTPS = "https://api.acme.example/v1"
HTTP = "http://api.acme.example/v1"


@pytest.mark.parametrize(
    ("url", "environ", "found"),
    [
        (HTTPS, {}, None),
        (HTTPS, {"HTTPS_PROXY": " "}, None),
        (HTTPS, {"HTTPS_PROXY": "http://a:1"}, "http://a:1 (HTTPS_PROXY)"),
        (HTTPS, {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}, "http://b:1 (https_proxy)"),
        (HTTPS, {"HTTPS_PROXY": "", "ALL_PROXY": "http://c:1"}, "http://c:1 (ALL_PROXY)"),
        (HTTPS, {"HTTPS_PROXY": "https://a:1", "all_proxy": "http://c:1"}, "https://a:1 (HTTPS_PROXY)"),
        (HTTPS, {"http_proxy": "http://a:1"}, None),
        (HTTP, {"http_proxy": "http://a:1/"}, "http://a:1 (http_proxy)"),
        (HTTP, {"HTTP_PROXY": "http://a:1"}, None),
        (HTTP, {"all_proxy": "a:1"}, "http://a:1 (all_proxy)"),
        ("s3://bucket/states", {"ALL_PROXY": "http://a:1"}, None),
        (".reconciler/default.state.json", {"ALL_PROXY": "http://a:1"}, None),
        ("http://127.0.0.1:8000/v1", {"all_proxy": "http://a:1"}, None),
        ("https://localhost/v1", {"HTTPS_PROXY": "http://a:1"}, None),
        ("https://[::1]:8443/v1", {"HTTPS_PROXY": "http://a:1"}, None),
    ],
)
def test_a_proxy_is_named_as_for_curl_and_never_on_the_way_to_this_computer(
    url: str, environ: dict[str, str], found: str | None
) -> None:
    proxy = proxy_to(url, environ)
    assert (None if proxy is None else str(proxy)) == found


@pytest.mark.parametrize(
    ("listed", "direct"),
    [
        ("*", True),
        ("acme.example", True),
        (".acme.example", True),
        ("other.example, API.acme.example", True),
        ("api.acme.example:443", True),
        ("api.acme.example:8443", False),
        ("me.example", False),
        ("api.acme.example.evil.example", False),
        ("", False),
        (" , ", False),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_lists_names_and_the_names_above_them(variable: str, listed: str, direct: bool) -> None:
    assert (proxy_to(HTTPS, {"HTTPS_PROXY": "http://a:1", variable: listed}) is None) is direct


@pytest.mark.parametrize(("listed", "direct"), [("10.0.0.0/8", True), ("10.1.2.3", True), ("10.2.0.0/16", False)])
def test_no_proxy_lists_addresses_and_their_ranges(listed: str, direct: bool) -> None:
    assert (proxy_to("https://10.1.2.3/v1", {"HTTPS_PROXY": "http://a:1", "NO_PROXY": listed}) is None) is direct


def test_a_password_is_for_the_proxy_alone() -> None:
    proxy = proxy_to(HTTPS, {"HTTPS_PROXY": "http://me:hunter2@a.example:3128"})
    assert proxy is not None
    assert proxy.url.reveal() == "http://me:hunter2@a.example:3128"
    assert str(proxy) == "http://a.example:3128 (HTTPS_PROXY)"
    assert "hunter2" not in f"{proxy!r} {proxy}"


@pytest.mark.parametrize(
    "value",
    ["http://me:hunter2/x@a:1", "http://me:1hunter2#@a:1", "http://hunter2@", "http://a:99999", "http://a:0",
     "http://a:1/hunter2", "http://a:1?hunter2", "http://hunter2 @a:1", "http://me\\hunter2@a:1", "http://[hunter2:1"],
)  # fmt: skip
def test_what_is_no_address_of_a_proxy_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^HTTPS_PROXY is not the address of a proxy, such as ") as caught:
        proxy_to(HTTPS, {"HTTPS_PROXY": value})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_proxy_of_another_kind_is_refused_with_a_way_around_it() -> None:
    with pytest.raises(SettingsInvalid, match=r"^ALL_PROXY names a proxy of another kind") as caught:
        proxy_to(HTTPS, {"ALL_PROXY": "socks5h://a:1080"})
    assert caught.value.hint == "name one of those, or list api.acme.example in NO_PROXY"
    assert proxy_to(HTTPS, {"ALL_PROXY": "socks5h://a:1080", "NO_PROXY": "acme.example"}) is None


@pytest.mark.parametrize(("environ", "any_"), [({}, False), ({"HTTP_PROXY": "a"}, False), ({"all_proxy": "a"}, True)])
def test_whether_there_is_any(environ: dict[str, str], any_: bool) -> None:
    assert names_proxy(environ) is any_
