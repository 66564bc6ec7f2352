"""What stands in the place of a sensitive value."""

from typing import Annotated, Any

import pytest

from reconciler.model.secrecy import NOT_SHOWN, is_sealed, masked_fields, opened, sealed, stripped, unknown, withheld
from reconciler.model.spec import Mark, Part, Spec, fields_of
from reconciler.model.values import Fields, Secret


class Basic(Part):
    user: str
    password: Annotated[str, Mark.SENSITIVE]


class Bearer(Part):
    user: str | None = None
    password: str | None = None
    token: Annotated[str, Mark.SENSITIVE] | None = None


class Thing(Spec):
    size: Annotated[float | None, Mark.SENSITIVE] = None
    words: Annotated[list[str] | None, Mark.SENSITIVE, Mark.UNORDERED] = None
    headers: Annotated[dict[str, str] | None, Mark.SENSITIVE] = None
    logins: list[Basic | Bearer] | None = None
    login: Basic | Bearer | None = None


SHAPES = fields_of(Thing)
SECRET: Fields = {
    "size": 1.5,
    "words": ["hush", "a"],
    "headers": {"X-Key": "hush"},
    "logins": [{"user": "bob", "password": "hush"}, {"token": "hush"}],
    "login": {"user": "bob", "password": "hush"},
}


def digest(name: str, value: Any) -> object:
    return sealed({name: value}, "x.Thing", SHAPES)[0][name]


def test_what_is_sealed_is_opened_again() -> None:
    """Also in a union of parts, where one of them has the mark."""
    fields, secrets = sealed({"name": "a", **SECRET}, "x.Thing", SHAPES)
    assert "hush" not in f"{fields}{secrets}"
    assert fields["logins"][0]["user"] == "bob"  # type: ignore[index, call-overload]
    assert opened(fields, SHAPES, secrets) == {"name": "a", **SECRET}


@pytest.mark.parametrize(
    ("name", "one", "other", "alike"),
    [
        ("size", 1, 1.0, True),
        ("size", 1, 2, False),
        ("words", ["a", "b"], ["b", "a"], True),
        ("words", ["a", "b"], ["b"], False),
        ("headers", {"a": "1", "b": "2"}, {"b": "2", "a": "1"}, True),
    ],
)
def test_what_means_the_same_has_one_digest(name: str, one: Any, other: Any, alike: bool) -> None:
    assert (digest(name, one) == digest(name, other)) is alike


def test_a_digest_is_of_its_kind_and_field() -> None:
    """And of nothing else: neither the place in a list nor a rename makes another one."""
    secrets = sealed({"logins": [{"password": "hush"}, {"password": "hush"}]}, "x.Thing", SHAPES)[1]
    assert len(secrets) == 1
    assert digest("login", {"password": "hush"}) != {"password": next(iter(secrets))}
    assert sealed({"size": 1}, "x.Other", SHAPES)[0]["size"] != digest("size", 1)


@pytest.mark.parametrize("blank", [None, [], {}])
def test_what_is_blank_is_no_secret(blank: Any) -> None:
    assert digest("headers", blank) == blank


def test_a_digest_is_never_sent() -> None:
    """A field with a value that nobody knows is left out as a whole."""
    fields, secrets = sealed(SECRET, "x.Thing", SHAPES)
    known = {text: value for text, value in secrets.items() if text != fields["login"]["password"]}  # type: ignore[index, call-overload]
    assert opened(fields, SHAPES, known) == {name: value for name, value in SECRET.items() if name != "login"}
    assert unknown("login", fields["login"], SHAPES, known) == ["login.password"]


def test_what_looks_like_a_digest_is_a_value_like_any_other() -> None:
    """Somebody who writes a digest sends that text, and is not told a secret."""
    one = str(digest("size", 1.5))
    other, secrets = sealed({"login": {"password": one}}, "x.Thing", SHAPES)
    assert is_sealed(one)
    assert one not in str(other)
    assert opened(other, SHAPES, secrets) == {"login": {"password": one}}


def test_what_is_shown_and_what_is_left_out() -> None:
    fields, secrets = sealed(SECRET, "x.Thing", SHAPES)
    assert masked_fields(fields, SHAPES) == {
        **dict.fromkeys(("size", "words", "headers"), NOT_SHOWN),
        "logins": [{"user": "bob", "password": NOT_SHOWN}, {"token": NOT_SHOWN}],
        "login": {"user": "bob", "password": NOT_SHOWN},
    }
    paths = ["size", "words", "headers", "logins.password", "logins.token", "login.password"]
    assert stripped(fields, SHAPES) == ({"logins": [{"user": "bob"}, {}], "login": {"user": "bob"}}, paths)
    assert withheld("1.5 is no size, hush", secrets) == f"{NOT_SHOWN} is no size, {NOT_SHOWN}"


def test_of_two_values_one_of_which_begins_like_the_other_nothing_is_repeated() -> None:
    secrets = {"short": Secret('"hunter"'), "long": Secret('"hunter2-of-old"')}
    assert withheld("hunter2-of-old is no hunter", secrets) == f"{NOT_SHOWN} is no {NOT_SHOWN}"
