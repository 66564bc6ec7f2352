"""A platform that only a proxy finds: the environment says through which, and doctor repeats it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

SECRET = "canary-proxy-password"


@pytest.fixture
def behind(bot: Any, platform: Any, proxy: Any) -> Any:
    """The command line with the address of a platform that this computer cannot reach by itself."""
    at = urlsplit(platform.url)
    proxy.target = (at.hostname, at.port)
    bot.environ |= {
        "OPENLAYER_BASE_URL": "http://platform.example/v1",
        "RECONCILER_ALLOW_HTTP": "1",
        "http_proxy": proxy.origin.replace("//", f"//me:{SECRET}@"),
    }
    return bot


def test_everything_goes_through_the_proxy(behind: Any, platform: Any, proxy: Any) -> None:
    behind("apply", "--yes")
    assert "No changes" in behind("plan").words
    assert platform.seen
    assert len(proxy.seen) == len(platform.seen)


def test_doctor_says_which_proxy_is_used(behind: Any, proxy: Any) -> None:
    told = behind("doctor")
    assert f"through the proxy {proxy.origin} (http_proxy); 0 projects" in told.words
    assert SECRET not in told.text


def test_doctor_says_that_the_proxy_fails(behind: Any) -> None:
    told = behind("doctor", code=1, http_proxy=f"http://me:{SECRET}@127.0.0.1:9")
    assert "the proxy http://127.0.0.1:9 (http_proxy) cannot be reached: Connection refused" in told.words
    assert "hint: check http_proxy; NO_PROXY lists the servers that no proxy is needed for" in told.words
    assert SECRET not in told.text


def test_the_proxy_of_a_platform_on_this_computer_is_not_asked(bot: Any, proxy: Any) -> None:
    told = bot("doctor", http_proxy=proxy.origin, ALL_PROXY=proxy.origin)
    assert "through the proxy" not in told.words
    assert proxy.seen == []


def test_a_proxy_that_cannot_be_used_is_a_setting_to_mend(behind: Any, platform: Any) -> None:
    told = behind("plan", code=1, http_proxy="socks5://127.0.0.1:1080")
    assert "http_proxy names a proxy of another kind than http:// and https://" in told.words
    assert platform.seen == []
