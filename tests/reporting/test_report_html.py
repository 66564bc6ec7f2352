"""Pages in HTML: they stand alone, say what the other forms say, and nothing in them acts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import tinyhtml5.parser
from msgspec.structs import replace

from reconciler.errors import Problem, ReconcilerError, RefusedByPolicy
from reconciler.model.history import Observation
from reconciler.model.outcome import Doubt, EvaluationStatus, Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Action, Effect, FieldChange, Plan, Step
from reconciler.model.resource import Address
from reconciler.reporting.declarations import Declared
from reconciler.reporting.escape import terminal
from reconciler.reporting.html_page import declared_html, page_html
from reconciler.reporting.markup import Markup, tag
from reconciler.reporting.pages import Told
from reconciler.reporting.pictures import Limit, gauge, history_line, limits_in, shares

Element = ElementTree.Element
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1", "h2", "h3", "p",
    "div", "span", "strong", "b", "small", "code", "abbr", "ins", "del", "a", "ul", "li", "dl", "dt", "dd", "details",
    "summary", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "circle", "path",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "title", "open", "scope", "role",
    "aria-hidden", "viewBox", "preserveAspectRatio", "width", "height", "x", "y", "d", "cx", "cy", "r",
}  # fmt: skip


def _tree(page: str) -> Element:
    """The page as a browser reads it.  It is an error if that has to mend anything, or if it is no XML as well."""
    parser = tinyhtml5.parser.HTMLParser(namespace_html_elements=False)
    tree: Element = parser.parse(page)
    assert parser.errors == []
    assert page.startswith("<!DOCTYPE html>\n")
    strict = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert [_name(each) for each in tree.iter()] == [_name(each) for each in strict.iter()]
    assert "".join(tree.itertext()).split() == "".join(strict.itertext()).split()
    return strict


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _words(element: Element) -> str:
    """What is read of it, element by element."""
    return " ".join(" ".join(element.itertext()).split())


def _without_style(page: str) -> str:
    """The look is no fact that somebody relies on."""
    return re.sub(r"(?s)<style>.*?</style>", "<style></style>", re.sub(r"sha256-[\w+/=]*", "sha256-", page))


def _everything(plan: Plan, verdicts: tuple[Verdict, ...], text: str = "it broke") -> Told:
    outcomes = [StepOutcome(step.id, StepStatus.FAILED, text, text) for step in plan.pending]
    error = RefusedByPolicy(f"{text}\nPUT https://api.example/tests\nmore", hint=text)
    doubts = [Doubt(verdicts[0].address, text, text, text)]
    return Told(text, plan, outcomes, verdicts, [Problem(text, 1, 1, text, text, text)], error, doubts=doubts)


def _many(plan: Plan, count: int) -> Plan:
    changes = (FieldChange("thresholds.0.value", 0.9, 0.95, Effect.TIGHTENED),)
    steps = [
        Step(f"{n}", Action.UPDATE, Address("openlayer.Test", ("bot", f"Test {n}")), "changed in the manifests",
             changes=changes)
        for n in range(count)
    ]  # fmt: skip
    return replace(plan, steps=tuple(steps))


# ------------------------------------------------------------------------------------------- what it says


def test_one_of_everything(plan: Plan, expected: Callable[[str], str]) -> None:
    page = page_html(Told(plan=plan))
    _tree(page)
    assert _without_style(page) == expected("plan.html")


def test_verdicts_stand_worst_first(verdicts: tuple[Verdict, ...], expected: Callable[[str], str]) -> None:
    page = page_html(Told("staging", verdicts=verdicts))
    _tree(page)
    assert _without_style(page) == expected("verdicts.html")


def test_the_same_data_makes_the_same_bytes(plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    assert page_html(_everything(plan, verdicts)) == page_html(_everything(plan, verdicts))


@pytest.mark.parametrize(
    ("told", "title", "answers"),
    [
        (lambda plan, _: Told(plan=plan), "Refused: Plan for staging", ["Refused"]),
        (lambda plan, _: Told(plan=replace(plan, refusals=())), "Changes to look at: Plan for staging",
         ["Changes to look at"]),
        (lambda plan, _: Told(plan=replace(plan, refusals=(), steps=plan.steps[:2])), "Changes: Plan for staging",
         ["Changes"]),
        (lambda plan, _: Told(plan=replace(plan, refusals=(), steps=())), "No changes: Plan for staging",
         ["No changes"]),
        (lambda plan, _: Told(plan=plan, only_drift=True), "Drifted: Drift for staging", ["Drifted"]),
        (lambda _, verdicts: Told("prod", verdicts=verdicts), "Failed: Evaluation for prod", ["Failed"]),
        (lambda _, verdicts: Told("prod", verdicts=verdicts[3:]), "Passed, with warnings: Evaluation for prod",
         ["Passed, with warnings"]),
        (lambda _, verdicts: Told("prod", verdicts=verdicts[:1]), "Passed: Evaluation for prod", ["Passed"]),
        (lambda _, verdicts: Told("prod", verdicts=verdicts[:1], doubts=[Doubt(verdicts[0].address, None, "a", "b")]),
         "In doubt: Evaluation for prod", ["In doubt"]),
        (lambda _, __: Told("prod", verdicts=()), "Not evaluated: Evaluation for prod", ["Not evaluated"]),
        (lambda _, __: Told(problems=()), "Valid: Manifests", ["Valid"]),
        (lambda _, __: Told(problems=[Problem("a", 1, 1, "", "b", "", "warning")]), "Valid, with warnings: Manifests",
         ["Valid, with warnings"]),
        (lambda _, __: Told("prod", error=ReconcilerError("no"), about="apply"), "Error: Apply for prod", ["Error"]),
        (lambda plan, verdicts: _everything(plan, verdicts), "Error: Apply for staging",
         ["Error", "Invalid", "Failed", "Incomplete", "Refused"]),
    ],
)  # fmt: skip
def test_what_it_is_and_how_it_went_stand_at_the_top(
    told: Callable[[Plan, tuple[Verdict, ...]], Told], title: str, answers: list[str], plan: Plan,
    verdicts: tuple[Verdict, ...],
) -> None:  # fmt: skip
    tree = _tree(page_html(told(plan, verdicts)))
    (header,) = tree.iter("header")
    words = [each for each in header.iter("span") if (each.get("class") or "").startswith("word ")]
    assert [_words(each).partition(" ")[2] for each in words] == answers
    assert _words(next(tree.iter("title"))) == title


def test_steps_that_are_all_done_are_one_line(plan: Plan) -> None:
    outcomes = [StepOutcome(step.id, StepStatus.DONE) for step in plan.pending]
    (header,) = _tree(page_html(Told(plan=plan, outcomes=outcomes))).iter("header")
    assert "✓ Done 9 done." in _words(header)


def test_a_run_that_told_nothing_has_no_page() -> None:
    assert page_html(Told("prod", about="plan")) == ""


def test_destroying_is_called_so(plan: Plan) -> None:
    removing = replace(plan, basis=replace(plan.basis, options={"destroy": True}))
    page = page_html(Told(plan=removing, outcomes=(), about="apply"))
    assert "<h1>Destroy for <code>staging</code></h1>" in page


def test_declarations_are_counted() -> None:
    declared = Declared("prod", {"openlayer.Test": 12}, {"openlayer/bot": 12})
    text = _words(_tree(declared_html([declared])))
    assert "compared with nothing" in text
    assert "prod 12 openlayer.Test openlayer/bot 12 resources" in text


def test_a_request_to_send_by_hand_can_be_copied() -> None:
    page = page_html(Told(error=ReconcilerError('left:\nPUT https://api.example/tests\n{"value": [1]}')))
    assert "<code>PUT https://api.example/tests</code>" in page


# --------------------------------------------------------------------------------------------- long pages


def test_ten_thousand_steps_are_all_there_and_folded_up(plan: Plan) -> None:
    page = page_html(Told(plan=replace(_many(plan, 10_000), refusals=())))
    assert page.count('<li><p class="head">') == 10_000
    assert "more, left out" not in page
    assert '<details><summary><h2>Changes</h2> <span class="count">10,000</span></summary>' in page


@pytest.mark.parametrize("limit", [30_000, 100_000])
def test_what_does_not_fit_is_counted(limit: int, plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    told = Told(plan=_many(plan, 1_000), verdicts=verdicts * 300)
    page = page_html(told, limit=limit)
    _tree(page)
    left = sum(int(each.replace(",", "")) for each in re.findall(r"… ([\d,]+) more, left out", page))
    shown = page.count('<li><p class="head">') + page.count('<tr><td class="level')
    assert left + shown == 1_000 + 1 + 4 * 300 + 4  # steps, the refusal, verdicts, and the notes
    assert len(page) < limit + 10_000


# ------------------------------------------------------------------------------------- nothing in it acts


def test_it_is_well_formed_and_holds_nothing_but_our_elements(
    hostile: str, renderings: Callable[[str], dict[str, str]]
) -> None:
    pages = {form: text for form, text in renderings(hostile).items() if form.endswith(" html")}
    assert len(pages) == 4
    for form, page in pages.items():
        tree = _tree(page)
        assert {_name(each) for each in tree.iter()} <= ELEMENTS, form
        assert {name for each in tree.iter() for name in each.attrib} <= ATTRIBUTES, form
        ids = [each.get("id") for each in tree.iter() if each.get("id")]
        assert all(re.fullmatch("[a-z-]+", str(each)) for each in ids), form
        assert len(set(ids)) == len(ids), form


def test_it_names_nothing_outside_of_itself(hostile: str, renderings: Callable[[str], dict[str, str]]) -> None:
    for form, page in renderings(hostile).items():
        if not form.endswith(" html"):
            continue
        tree = _tree(page)
        ids = {f"#{each.get('id')}" for each in tree.iter() if each.get("id")}
        assert {each.get("href") for each in tree.iter() if each.get("href")} <= ids, form
        assert not re.search(r"url\(|@import|expression", "".join(str(each.text) for each in tree.iter("style"))), form


def test_its_policy_allows_this_style_and_nothing_else(plan: Plan) -> None:
    tree = _tree(page_html(Told(plan=plan)))
    (style,) = tree.iter("style")
    digest = base64.b64encode(hashlib.sha256(str(style.text).encode()).digest()).decode()
    (policy,) = (each.get("content") for each in tree.iter("meta") if each.get("http-equiv"))
    assert policy == f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'"


def test_a_text_is_shown_as_it_is(hostile: str, verdicts: tuple[Verdict, ...]) -> None:
    tree = _tree(page_html(Told(verdicts=[replace(verdicts[2], why=hostile)])))
    (why,) = (each for each in tree.iter("td") if each.get("class") == "why")
    assert why.text == terminal(hostile)


def test_what_is_no_markup_is_escaped() -> None:
    assert tag("p", "<b>", Markup("<b>x</b>"), class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;<b>x</b></p>'


# ------------------------------------------------------------------------------------------ for everybody


def test_headings_and_tables_can_be_walked_through(plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    for told in (Told(plan=plan), _everything(plan, verdicts), Told(verdicts=verdicts)):
        tree = _tree(page_html(told))
        levels = [int(_name(each)[1]) for each in tree.iter() if re.fullmatch("h[1-6]", _name(each))]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert tree.get("lang") == "en"
        assert {each.get("scope") for each in tree.iter("th")} <= {"col", "row"}
        assert all(each.get("role") == "img" and _words(each) for each in tree.iter("svg"))


def test_what_a_colour_says_a_word_says_too(verdicts: tuple[Verdict, ...]) -> None:
    tree = _tree(page_html(Told(verdicts=verdicts)))
    results = [_words(each) for each in tree.iter("td") if (each.get("class") or "").startswith("level ")]
    assert results == ["✕ fail", "✕ fail", "! warn", "✓ pass"]


# ---------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("wanted", "limits"),
    [
        (">= 0.8", (Limit(">=", 0.8),)),
        (">= 1 and <= 5", (Limit(">=", 1.0), Limit("<=", 5.0))),
        ("< -2.5e-07", (Limit("<", -2.5e-7),)),
        ("precision >= 0.8, recall >= 0.7", ()),
        ('is "yes"', ()),
        ("automatic", ()),
        (">= 1e999", ()),
        ("", ()),
    ],
)
def test_limits_are_read_from_what_is_wanted(wanted: str, limits: tuple[Limit, ...]) -> None:
    assert limits_in(wanted) == limits


def _classes(picture: Markup | None) -> list[str]:
    return [str(each.get("class")) for each in ElementTree.fromstring(str(picture)) if _name(each) != "title"]


def test_a_value_stands_on_a_line_with_its_limit(verdicts: tuple[Verdict, ...]) -> None:
    faithful = verdicts[2]
    assert _classes(gauge(faithful)) == ["track", "zone", "limit", "mark fail"]
    assert "<title>0.62, wanted &gt;= 0.8: does not pass</title>" in str(gauge(faithful))
    between = replace(faithful, wanted=">= 0.5 and <= 0.9", level=Level.PASS)
    assert _classes(gauge(between)) == ["track", "zone", "limit", "limit", "mark pass"]
    assert _classes(gauge(replace(faithful, wanted="is 1"))) == ["track", "limit", "mark fail"]
    assert _classes(gauge(verdicts[0])) == ["track", "limit", "mark pass"], "0 of 0: there is no band below zero"


@pytest.mark.parametrize(("measured", "wanted"), [("", ">= 1"), ("NaN", ">= 1"), ("1", "automatic"), ('"a"', 'is "a"')])
def test_what_is_no_number_has_no_picture(measured: str, wanted: str, verdicts: tuple[Verdict, ...]) -> None:
    assert gauge(replace(verdicts[2], measured=measured, wanted=wanted)) is None


@pytest.mark.parametrize("measured", ["-1e308", "1e308", "0", "-0.0001", "12345678901234567890"])
def test_every_number_is_drawn_inside_of_the_picture(measured: str, verdicts: tuple[Verdict, ...]) -> None:
    for wanted in (">= -1e308", "<= 1e308", "<= 0", ">= 0.5"):
        picture = ElementTree.fromstring(str(gauge(replace(verdicts[2], measured=measured, wanted=wanted))))
        for each in picture:
            places = [float(each.get(name, "0")) for name in ("x", "cx")]
            assert all(0 <= place <= 140 for place in places)
            assert 0 <= float(each.get("width", "0")) <= 140


def test_recent_values_are_a_line_with_a_cross_for_each_that_did_not_pass() -> None:
    levels = [Level.PASS, Level.WARN, Level.FAIL, Level.PASS]
    picture = history_line([0.9, 0.5, None, 0.85], levels, [Limit(">=", 0.8)], "faithfulness 0.5 to 0.9")
    assert _classes(picture) == ["limit", "line", "mark warn", "mark fail", "mark pass"]
    (line,) = (each for each in ElementTree.fromstring(picture) if each.get("class") == "line")
    assert re.sub(r"[\d. ]+", "", str(line.get("d"))) == "MLM", "a point without a number is a gap"


def _observed(verdict: Verdict, values: list[float]) -> list[Observation]:
    return [
        Observation(verdict.address, verdict.pipeline, Level.PASS, EvaluationStatus.PASSING, {"faithfulness": value})
        for value in values
    ]


def test_the_past_is_shown_where_it_is_known(verdicts: tuple[Verdict, ...]) -> None:
    place = verdicts[2].address, verdicts[2].pipeline
    page = page_html(Told(verdicts=verdicts, past={place: _observed(verdicts[2], [0.62, 0.9, 0.7])}))
    _tree(page)
    assert page.count('<svg class="past"') == 1
    assert "<title>faithfulness 0.62 to 0.9, latest 0.62; 3 verdicts, all passed</title>" in page
    alone = page_html(Told(verdicts=verdicts, past={place: _observed(verdicts[2], [0.62])}))
    assert '<svg class="past"' not in alone
    assert "Recently</th>" not in page_html(Told(verdicts=verdicts))


def test_every_level_has_its_share_of_the_bar() -> None:
    bar = ElementTree.fromstring(shares([("fail", 1), ("warn", 0), ("pass", 99_999)], "told"))
    assert [each.get("class") for each in bar if _name(each) == "rect"] == ["fail", "pass"]
    assert all(float(each.get("width", "0")) >= 2 for each in bar if _name(each) == "rect")
