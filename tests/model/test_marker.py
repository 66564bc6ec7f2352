"""The marker comes off a text exactly as it went on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.marker import sign, split

OP = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "text", ["Live traffic", "one line\n", "two\n\n", " ", "ends in a space ", "", "[reconciler:x]"]
)
def test_the_text_is_as_it_was(text: str) -> None:
    assert split(sign(text, OP)) == (text, OP)


@given(st.text())
def test_any_text_is_as_it_was(text: str) -> None:
    assert split(sign(text, OP)) == (text, OP)


@pytest.mark.parametrize("end", ["", " ", "\n"])
def test_what_the_platform_puts_behind_it_is_no_text_of_ours(end: str) -> None:
    assert split(f"Live traffic [reconciler:{OP}]{end}") == ("Live traffic", OP)


def test_a_text_without_a_marker_is_left_alone() -> None:
    assert split("Live traffic ") == ("Live traffic ", None)
    assert split(None) == (None, None)
