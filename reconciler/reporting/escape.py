"""Turn text that somebody else wrote into text that can do nothing where it is going.  Pure.

Names, messages and field values come from pull requests and from the platform.  There is one function per
destination; each returns a single line without any control character, except ``markdown_fence``, which keeps
line breaks.
"""

from __future__ import annotations

import re

# Patterns are texts here: re compiles them when one is first used, and most runs use none of them.

# What acts on a terminal or cannot be seen: C0, DEL, C1; soft hyphen and grapheme joiner; fillers that look like
# a space or like nothing; zero-width and bidirectional controls; line and paragraph separators; variation selectors
# (the emoji selector only where no emoji stands before it); byte order mark; lone surrogates; the tag block; the two
# that XML does not allow.
HIDDEN = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff])\ufe0f"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

# GitHub's runner obeys "##[command]" anywhere in a line, Azure's "##vso[...]" and TeamCity's "##teamcity[...]"
# likewise (actions/runner, ActionCommand.TryParse, 2026-11).
LOG_COMMAND = r"##(?=\w*\[)"


def terminal(text: str) -> str:
    r"""Safe to print: every control, bidirectional or invisible character becomes ``\x1b``-like text.

    >>> terminal("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    """
    if text.isascii() and text.isprintable() and "##" not in text:
        return text  # as nearly all is
    return re.sub(LOG_COMMAND, r"#\\x23", re.sub(HIDDEN, _visible, text))


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_OUR_COLOURS = r"(\x1b\[(?:0|1|2|3[1-6]|1;3[13])m|\n)"


def page(text: str) -> str:
    r"""Finished lines, safe to print: what is neither a line break nor a colour of ours is made visible.

    The last door of what goes to stderr, for text that nobody has escaped on the way.

    >>> page("\x1b[31ma\x1b[0m\nb\x1b[2J")
    '\x1b[31ma\x1b[0m\nb\\x1b[2J'
    """
    return "".join(part if place % 2 else terminal(part) for place, part in enumerate(re.split(_OUR_COLOURS, text)))


def line_start(line: str) -> str:
    r"""A finished line that no CI runner takes for a command.

    GitHub's runner skips white space before it looks for ``::``, so that indenting is no protection
    (actions/runner, ActionCommand.TryParseV2, 2026-11).

    >>> line_start("   ::error::x")
    '   \\x3a:error::x'
    """
    start = re.match(_COMMAND_START, line)
    return rf"{start[1]}\x3a{line[start.end() :]}" if start else line


# A colour that ends between the two colons hides the command from the runner, but a line reads alike in every colour.
_COMMAND_START = r"((?:\s|\x1b\[[0-9;]*m)*):(?=(?:\x1b\[[0-9;]*m)*:)"

# Everything that means something to CommonMark, to GitHub's extensions or to HTML, as character references:
# those cannot open any structure.
_MARKUP = {ord(character): f"&#{ord(character)};" for character in "\\`*_{}[]()<>&#!|~$=+@^"}
_MARKUP[0x200B] = "&#8203;"  # one of ours: ``terminal`` leaves none of anybody else's
# What begins a reference at GitLab, to a merge request, a label, a milestone, a snippet or an epic
# (docs.gitlab.com, "GitLab-specific references", 2026-11), but for those that every forge knows.
_REFERENCE = r"[!~%$&](?=[\w\"'])"
_BULLET = r"^(\s*)([-:])|^(\s*\d+)\."


def markdown(text: str) -> str:
    """Safe as running text of a Markdown page, in a table cell too, wherever on the line it stands.

    No link, image, HTML, heading, list, mention, reference or emoji comes out.  Where only the rendered text
    counts (mentions, links that are recognized by themselves), a zero-width space is put in between.
    """
    escaped = re.sub(_REFERENCE, "\\g<0>\u200b", terminal(text)).translate(_MARKUP)
    escaped = escaped.replace("&#64;", "&#64;&#8203;").replace("&#35;", "&#35;&#8203;")
    escaped = re.sub(r":(?=\S)", ":&#8203;", escaped)
    escaped = re.sub(r"(?i)\b(www|gh|gl)(?=[.-])", r"\1&#8203;", escaped)
    return re.sub(_BULLET, _not_a_bullet, escaped)


def _not_a_bullet(match: re.Match[str]) -> str:
    if match.group(2):
        return f"{match.group(1)}&#{ord(match.group(2))};"
    return f"{match.group(3)}&#46;"


# Words that mean nothing to any renderer inside a code span; comparison signs only by themselves.
_PLAIN_WORD = r"(?:[\w./,:;'\"%+*=~^(){}\[\]-]+|[<>]=?)"
_PLAIN_CODE = rf"{_PLAIN_WORD}(?: {_PLAIN_WORD})*"


def markdown_code(text: str) -> str:
    """Safe as a piece of code in running text or in a table cell.

    A code span where that is certainly enough; otherwise ``<code>`` with everything inside as character
    references, because renderers disagree on bars and backslashes inside a span inside a table.
    """
    visible = terminal(text)
    if re.fullmatch(_PLAIN_CODE, visible):
        return f"`{visible}`"
    return html_code(text)


def html_code(text: str) -> str:
    """``<code>…</code>`` that is safe inside an HTML block (a ``<summary>``) and in running Markdown."""
    escaped = terminal(text).translate(_MARKUP)
    # An empty comment parts the text, so that nothing is recognized as a mail address.
    escaped = escaped.replace("&#64;", "&#64;<!-- -->").replace(":", "&#58;")
    escaped = re.sub(r"(?i)\bwww\.", lambda match: f"{match.group()[:3]}&#46;", escaped)
    return f"<code>{escaped}</code>"


def markdown_fence(text: str, *, info: str = "") -> str:
    """A fenced block of code around ``text``; the fence is longer than any run of backticks inside."""
    lines = [terminal(line) for line in text.split("\n")]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{info}", *lines, fence])


def workflow_command(text: str) -> str:
    r"""Safe as the message of a GitHub workflow command; line breaks survive as ``%0A``.

    Source: docs.github.com, "Workflow commands", and @actions/core's escapeData (2026-11).
    """
    return "%0A".join(terminal(line).replace("%", "%25") for line in text.split("\n"))


def workflow_property(text: str) -> str:
    """Safe as the value of a property of a GitHub workflow command (``file=…``)."""
    return terminal(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def html(text: str) -> str:
    """Safe as the text of an HTML element and inside a quoted attribute."""
    from html import escape  # its table of 2,231 names is for no terminal

    return escape(terminal(text), quote=True)
