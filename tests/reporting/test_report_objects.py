"""One object of the platform, line by line."""

from __future__ import annotations

from reconciler.reporting.objects import object_text


def test_fields_stand_one_a_line_in_the_platforms_order_and_what_is_inside_is_indented() -> None:
    shown = object_text(
        {
            "status": "DONE",
            "pass": True,
            "version": 2.0,
            "error": "",
            "finished": None,
            "star": {"name": "Tone", "value": 0.5, "more": {"deep": 1}},
            "results": [{"name": "Tone", "value": 0.5}, {"name": "PII", "tags": ["a", "b"]}],
            "tags": ["a", 1],
            "none": [],
            "nothing": {},
        }
    )
    assert shown == (
        "status: DONE\n"
        "pass: true\n"
        "version: 2\n"
        'error: ""\n'
        "finished: null\n"
        "star:\n"
        "  name: Tone\n"
        "  value: 0.5\n"
        "  more:\n"
        "    deep: 1\n"
        "results:\n"
        "  - name: Tone\n"
        "    value: 0.5\n"
        "  - name: PII\n"
        "    tags:\n"
        "      - a\n"
        "      - b\n"
        "tags:\n"
        "  - a\n"
        "  - 1\n"
        "none: []\n"
        "nothing: {}\n"
    )


def test_a_text_of_the_platform_stays_on_its_line_and_does_nothing_to_a_terminal() -> None:
    assert object_text({"name": "a\n::error::\x1b[31mb", "x\x1b]0;y": "1"}) == (
        "name: a\\n::error::\\x1b[31mb\nx\\x1b]0;y: 1\n"
    )
    assert object_text({"::error::": "x"}) == "\\x3a:error::: x\n"
