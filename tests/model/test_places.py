"""What may stand in state.url, and that no secret which stands there is repeated."""

from __future__ import annotations

import pytest

from reconciler.model.places import is_loopback, parse_place


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path"),
    [
        ("state", "file", "", "state"),
        ("../state", "file", "", "../state"),
        ("file:state", "file", "", "state"),
        ("s3://bucket", "s3", "bucket", ""),
        ("s3://my.bucket-1/a/b/", "s3", "my.bucket-1", "a/b"),
        ("gs://bucket_1/evals", "gs", "bucket_1", "evals"),
        ("az://container/team=a/x.y", "az", "container", "team=a/x.y"),
        ("https://State.Example:443/x/", "https", "state.example", "/x"),
        ("http://[::1]:8080/x", "http", "[::1]:8080", "/x"),
        ("postgresql://ann@db.example:5433/evals?sslmode=require", "postgresql", "db.example:5433", "/evals"),
    ],
)
def test_an_address_has_parts(text: str, scheme: str, host: str, path: str) -> None:
    place = parse_place(text)
    assert (place.scheme, place.host, place.path) == (scheme, host, path)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:canary@host/x",
        "https://canary@host/x",
        "https://:canary@host/x",
        "s3://key:canary@bucket/x",
        "postgresql://ann:canary@host/db",
        "postgresql://host/db?password=canary",
        "postgresql://host/db?sslmode=require&PASSWORD=canary",
        "postgresql://host/db?host=canary",
        "postgresql://host/db?sslmode=disable",
        "postgresql://host/db?sslmode=require&sslmode=canary",
        "https://host/x?token=canary",
        "https://host/x#canary",
        "ftp://canary@host/x",
        "canary:secret",
        "https://host:canary/x",
        "https://ho st/canary",
        "https:\\\\canary@host",
        "https://host/x\ncanary",
        "https:host/canary",
        "s3://Canary/x",
        "s3://bucket/../canary",
        "s3://bucket/a//canary?",
        "s3://bucket/.canary",
        "s3://bucket/%63anary",
        "https:///canary",
        "http://host:0/canary",
        "file:\0canary",
    ],
)
def test_everything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(expected a folder|the address|the path|this is not)") as caught:
        parse_place(text)
    assert "canary" not in str(caught.value).lower()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "file:", "s3://", "s3:/bucket", "s3:bucket", "S3://bucket"])
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a folder|such as s3://"):
        parse_place(text)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert parse_place("https://State.Example/a/b").origin == "https://state.example"
    assert parse_place("http://state.example:8080/a").origin == "http://state.example:8080"


def test_loopback_is_this_computer() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "::1", "a.localhost", "LOCALHOST."]))
    assert not any(map(is_loopback, ["localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"]))


@pytest.mark.parametrize("url", ["s3://states/a?region=canary", "gs://states?x=canary", "https://host/x?token=canary"])
def test_a_query_is_named_as_what_is_wrong(url: str) -> None:
    with pytest.raises(ValueError, match="holds a query: give it up to the path only") as caught:
        parse_place(url)
    assert "canary" not in str(caught.value)
