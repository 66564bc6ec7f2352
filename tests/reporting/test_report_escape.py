"""Text that somebody else wrote can do nothing where it is going."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.reporting import escape

# Format characters that a reader sees: number signs and the like of Arabic, Syriac, Kaithi and hieroglyphs.
VISIBLE_FORMAT = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13456)}


def _acts(character: str) -> bool:
    """Whether a terminal may act on it or a reader cannot see it, by Unicode's own categories."""
    if ord(character) in VISIBLE_FORMAT:
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def test_no_character_of_unicode_that_acts_or_hides_reaches_the_terminal() -> None:
    shown = escape.terminal("".join(map(chr, range(sys.maxunicode + 1))))
    assert [hex(ord(character)) for character in shown if _acts(character)] == []


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain, ünï, 日本, 🎉, ❤️", "plain, ünï, 日本, 🎉, ❤️"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b\x7f\x00", r"\x9b\x7f\x00"),
        ("\u202e\u2066\u200b", r"\u202e\u2066\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("Faithful\ufe0f", r"Faithful\ufe0f"),
        ("##[error]x", r"#\x23[error]x"),
        ("x ##vso[task.complete]", r"x #\x23vso[task.complete]"),
        ("## heading", "## heading"),
    ],
)
def test_terminal_shows_what_can_not_be_seen(raw: str, shown: str) -> None:
    assert escape.terminal(raw) == shown


def test_escaping_twice_changes_nothing_more(hostile: str) -> None:
    once = escape.terminal(hostile)
    assert escape.terminal(once) == once


@pytest.mark.parametrize("line", ["::error::x", "    ::error::x", "\x1b[1m::error::x", "  \x1b[0m ::add-mask::x"])
def test_no_line_starts_with_a_workflow_command(line: str) -> None:
    """GitHub's runner skips white space first, so an indent does not help."""
    assert not re.sub(r"\x1b\[\d*m", "", escape.line_start(line)).lstrip().startswith("::")


def test_workflow_command_keeps_line_breaks_as_its_own_escape() -> None:
    assert escape.workflow_command("50%\nof, it: \x1b") == r"50%25%0Aof, it: \x1b"


def test_workflow_property_can_not_end_early() -> None:
    assert escape.workflow_property("a,line=9::x%") == "a%2Cline=9%3A%3Ax%25"


def test_html_is_text_in_elements_and_attributes() -> None:
    assert escape.html("<a href='x'>&\"\x1b") == r"&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;\x1b"


# ------------------------------------------------------------------------------------------- markdown

PLAIN = {"inline", "text", "paragraph_open", "paragraph_close", "code_inline", "fence"}
TABLE = {f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")}


def _tokens(source: str) -> list[Token]:
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source):
        found += [token, *(token.children or ())]
    return found


def _structure(source: str) -> set[str]:
    return {token.type for token in _tokens(source)}


def _text(source: str) -> str:
    return "".join(token.content for token in _tokens(source) if token.type == "text")


def test_nothing_but_text_comes_out_of_markdown(hostile: str) -> None:
    assert _structure(escape.markdown(hostile)) <= PLAIN
    assert _structure(f"before {escape.markdown(hostile)} after") <= PLAIN


def test_markdown_reads_as_the_text_that_went_in() -> None:
    raw = "value <b> & *stars* | 5 > 3, [x](y) `code` _under_ 1. a #1"
    assert _text(escape.markdown(raw)).replace("\u200b", "") == raw


@pytest.mark.parametrize(
    "raw", ["@everyone", "#12", "http://evil.example", "www.evil.example", "GH-12", ":tada:", "a@b.c"]
)
def test_nothing_is_recognized_in_the_rendered_text(raw: str) -> None:
    """Platforms look for mentions, references and links in the text after Markdown is done with it."""
    seen = _text(escape.markdown(raw))
    assert not re.search(r"@\w|#\d|://|www\.|GH-\d|:\w+:", seen)


@pytest.mark.parametrize(
    "raw",
    [
        "!12",
        "acme/bots!12",
        "~bug",
        '~"needs review"',
        "~_x",
        "%12",
        "%v1.2",
        '%"v1"',
        "%'v1'",
        "$5",
        "&3",
        "acme&3",
        "GL-12",
    ],
)
def test_no_reference_of_gitlab_is_recognized_in_the_rendered_text(raw: str) -> None:
    """Merge requests, labels, milestones, snippets, epics and issues (docs.gitlab.com, "GitLab-specific references",
    2026-11): each would be a link, and some tell whom they are about.
    """
    seen = _text(escape.markdown(f"see {raw}"))
    assert not re.search(r"""[!~%$&][\w"']|GL-\d""", seen)
    assert seen.replace("\u200b", "") == f"see {raw}"


@pytest.mark.parametrize("raw", ["5 % of", "5%", "a & b", "a != b", "~ 5", "$ 5", "wow!", "100%, then"])
def test_what_begins_no_reference_is_left_whole(raw: str) -> None:
    assert _text(escape.markdown(raw)) == raw


@pytest.mark.parametrize("raw", ["- x", "+ x", "1. x", "1) x", "---", "===", "  - x", "> x", "# x", "    code", ": x"])
def test_no_block_begins_where_the_text_begins_a_line(raw: str) -> None:
    assert _structure(escape.markdown(raw)) <= PLAIN | {"code_block"}


def test_a_cell_of_a_table_stays_one_cell(hostile: str) -> None:
    for cell in (escape.markdown(hostile), escape.markdown_code(hostile)):
        tokens = _tokens(f"| a | b |\n|---|---|\n| {cell} | end |")
        assert [token.type for token in tokens].count("td_open") == 2
        assert {token.type for token in tokens} <= PLAIN | TABLE | {"html_inline"}
        assert {token.content for token in tokens if token.type == "html_inline"} <= {"<code>", "</code>", "<!-- -->"}


def test_code_shows_the_text_as_it_is() -> None:
    assert escape.markdown_code("support-bot/monitoring/No PII") == "`support-bot/monitoring/No PII`"
    assert escape.markdown_code(">= 0.8") == "`>= 0.8`"
    assert escape.markdown_code("a|b") == "<code>a&#124;b</code>"


def test_a_fence_is_longer_than_any_run_inside() -> None:
    assert escape.markdown_fence("a\n```\n`````\x1b", info="diff") == "``````diff\na\n```\n`````\\x1b\n``````"


def test_nothing_leaves_a_fence(hostile: str) -> None:
    tokens = MarkdownIt("commonmark").parse(escape.markdown_fence(hostile))
    assert [token.type for token in tokens] == ["fence"]


# ------------------------------------------------------------------------------------------ everything


def test_no_form_of_output_holds_anything_that_acts(hostile: str, renderings: Callable[[str], dict[str, str]]) -> None:
    """The first check is for control and invisible characters, the second for CI commands, the last for encoding."""
    for form, text in renderings(hostile).items():
        assert [character for character in text if _acts(character) and character != "\n"] == [], form
        assert not re.search(r"##\w*\[", text), form
        lines = [line.strip() for line in text.split("\n")]
        commands = [line for line in lines if line.startswith("::")]
        assert all(re.match("::(error|warning|notice) (file|title)=", line) for line in commands), form
        assert bool(commands) == (form == "github"), form
        assert text.encode("utf-8"), form


@settings(max_examples=25)
@given(text=st.text(st.characters(), min_size=1, max_size=12))
def test_no_form_of_output_holds_a_control_character_whatever_the_text(
    text: str, renderings: Callable[[str], dict[str, str]]
) -> None:
    for form, output in renderings(text).items():
        assert [character for character in output if _acts(character) and character != "\n"] == [], form


def test_a_comment_holds_no_markup_but_ours(hostile: str, renderings: Callable[[str], dict[str, str]]) -> None:
    found = renderings(hostile)
    for form in ("plan markdown", "verdicts markdown"):
        tokens = _tokens(found[form])
        assert not {"link_open", "image", "list_item_open", "hr", "code_block"} & {token.type for token in tokens}, form
        assert _only_ours(tokens), form
        assert [token.type for token in tokens].count("heading_open") == 1, form


def _only_ours(tokens: list[Token]) -> bool:
    ours = re.compile(
        r"(<!-- reconciler:\w+ [0-9a-f]{12} -->|<details( open)?><summary>[\w :,()]+</summary>|</details>|\s)*"
    )
    return all(ours.fullmatch(token.content) for token in tokens if token.type == "html_block")
