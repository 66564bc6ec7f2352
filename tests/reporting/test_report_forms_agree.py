"""Text, JSON, Markdown and HTML of one plan say the same: the same addresses, actions and paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from reconciler.cli.render import (
    PLAN_FORMS,
    PROBLEM_FORMS,
    VERDICT_FORMS,
    File,
    show_drift,
    show_plan,
    show_problems,
    show_verdicts,
)
from reconciler.errors import Problem
from reconciler.model.plan import Action, Plan
from reconciler.reporting.html_page import page_html
from reconciler.reporting.machine import plan_json
from reconciler.reporting.markdown import plan_markdown
from reconciler.reporting.pages import Told
from reconciler.reporting.text import plan_text

Facts = set[tuple[str, str, str]]
STEP = re.compile(r"^([+~±\-=>. ]) (openlayer\.\w+/.+?)(?:  (?:(DELETE|ARCHIVE)\b)?.*)?$")
FIELD = re.compile(r"^    ([a-z]\w*(?:\.\w+)*):(?: |$)")
NOT_FIELDS = {"note", "hint"}


def _from_json(plan: Plan) -> Facts:
    data = json.loads(plan_json(plan, tool="reconciler 0"))
    signs = {action.value: action.sign for action in Action}
    facts = {(signs[step["action"]], step["address"], "") for step in data["steps"]}
    for step in data["steps"]:
        facts |= {(signs[step["action"]], step["address"], change["path"]) for change in step["changes"]}
    return facts


def _from_lines(lines: list[str]) -> Facts:
    """Reads back what a person reads: a sign and an address, then fields; a nested path counts for its field."""
    facts: Facts = set()
    sign = address = ""
    for line in lines:
        if found := STEP.match(line):
            sign, address = found[1], found[2]
            facts.add((sign, address, ""))
        elif (found := FIELD.match(line)) and found[1] not in NOT_FIELDS:
            facts.add((sign, address, found[1]))
    return facts


def test_text_and_json_agree(plan: Plan) -> None:
    text = plan_text(plan, width=1000, color=False, verbose=True)
    body = text.split("Removes, replaces or loosens\n")[1].split("\nNotes\n")[0]
    facts = _from_lines([line.removeprefix("  ") for line in body.split("\n")])
    assert _merged(facts) == _from_json(plan)


def test_markdown_and_json_agree(plan: Plan) -> None:
    body = plan_markdown(plan, verbose=True).split("Removes, replaces or loosens")[1].split("Notes (")[0]
    facts = _from_lines([line.removeprefix("! ") for line in body.split("\n")])
    assert _merged(facts) == _from_json(plan)


def test_html_and_json_agree(plan: Plan) -> None:
    page = page_html(Told(plan=plan), verbose=True).removeprefix("<!DOCTYPE html>")
    facts: Facts = set()
    for item in ElementTree.fromstring(page).iter("li"):
        words = {str(each.get("class")).partition(" ")[0]: each.text or " " for each in item.iter()}
        if "sign" not in words or words["sign"] == "!":
            continue
        paths = [each.findtext("b", "") for each in item.findall("p[@class='i4']")]
        found = ["", *(path.removesuffix(" ").removesuffix(":") for path in paths if ":" in path)]
        facts |= {(words["sign"], words["name"], path) for path in found}
    assert _merged(facts) == _from_json(plan)


def test_each_form_that_is_offered_shows_something_else(plan: Plan) -> None:
    """One that nothing renders is an error, and not the text in disguise."""
    paper = File()
    problems = [Problem("a.yaml", 3, 1, "spec.name", "is missing")]
    offered: list[tuple[tuple[str, ...], Callable[[str], str]]] = [
        (PLAN_FORMS, lambda form: show_plan(plan, form, paper)),
        (PLAN_FORMS, lambda form: show_drift(plan, form, paper)),
        (VERDICT_FORMS, lambda form: show_verdicts((), form, paper)),
        (PROBLEM_FORMS, lambda form: show_problems(problems, form, paper)),
    ]
    for forms, show in offered:
        assert len({show(form) for form in forms}) == len(forms)
        with pytest.raises(KeyError):
            show("yaml")


def _merged(facts: Facts) -> Facts:
    """A create's nested value is told path by path; JSON holds it whole."""
    return {
        (sign, address, "dataBackend" if path.startswith("dataBackend.") else path) for sign, address, path in facts
    }


def test_the_refusals_are_the_same_in_all_forms(plan: Plan) -> None:
    wanted = ("openlayer.Project/other", "taskType cannot be changed in place", "make a project under a new name")
    [refusal] = json.loads(plan_json(plan, tool=""))["refusals"]
    assert (refusal["address"], refusal["reason"], refusal["hint"]) == wanted
    for text in (plan_text(plan, width=80, color=False), plan_markdown(plan), page_html(Told(plan=plan))):
        assert all(part in text for part in wanted)
