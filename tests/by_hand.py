"""What people do at the platforms of the tests, with tools of their own."""

from __future__ import annotations

from typing import Any

import httpx

PLAIN: dict[str, Any] = {"verify": False}
"""For clients of the tests' servers, which speak plain HTTP: to read the trusted certificates takes 40 ms each time."""


def ask(method: str, url: str, key: str, body: object = None) -> Any:
    """The JSON of an answer that must be a success; None where it is empty."""
    headers = {"Authorization": f"Bearer {key}", "User-Agent": "by-hand"}
    answer = httpx.request(method, url, json=body, headers=headers, **PLAIN)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None
