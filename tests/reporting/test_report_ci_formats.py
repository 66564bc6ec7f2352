"""Mistakes in manifests as CI systems want them."""

from __future__ import annotations

import json
from collections.abc import Callable

from jsonschema import Draft7Validator
from sarif_pydantic import Sarif  # type: ignore[import-untyped]

from reconciler.errors import Problem
from reconciler.model.plan import Plan
from reconciler.reporting.github import github, of_problems
from reconciler.reporting.gitlab import plan_gitlab, problems_gitlab
from reconciler.reporting.sarif import MOST_RESULTS, problems_sarif

PROBLEM = Problem("./a b/tests.yaml", 7, 5, "spec.subtyp", "not a field, 100% sure", 'did you mean "subtype"?')
WHOLE_FILE = Problem("a.yaml", 0, 0, "", "the file is empty")


def problems_github(problems: list[Problem]) -> str:
    return github(of_problems(problems))


def test_github_marks_the_line() -> None:
    assert problems_github([PROBLEM, WHOLE_FILE]) == (
        "::error file=a b/tests.yaml,line=7,col=5,title=reconciler::"
        'spec.subtyp: not a field, 100%25 sure; did you mean "subtype"?\n'
        "::error file=a.yaml,title=reconciler::the file is empty\n"
    )


def test_github_keeps_ten_so_the_tenth_counts_the_others() -> None:
    problems = [Problem("a.yaml", line, 1, "", "wrong") for line in range(1, 13)]
    lines = problems_github(problems).split("\n")
    assert [line[:7] for line in lines[:10]] == ["::error"] * 10
    assert lines[9] == "::error title=reconciler::3 more errors: GitHub keeps ten, the log has all of them"
    assert lines[10:] == ["a.yaml:10:1: wrong", "a.yaml:11:1: wrong", "a.yaml:12:1: wrong", ""]


def test_github_shows_ten_problems_as_ten_annotations() -> None:
    problems = [Problem("a.yaml", line, 1, "", "wrong") for line in range(1, 11)]
    assert problems_github(problems).count("::error file=a.yaml") == 10
    assert problems_github([]) == ""


def test_a_hostile_file_name_stays_inside_its_property() -> None:
    annotation = problems_github([Problem("a,line=1::x\n::add-mask::y", 3, 1, "", "wrong\n::error::z")])
    assert annotation == (
        r"::error file=a%2Cline=1%3A%3Ax\n%3A%3Aadd-mask%3A%3Ay,line=3,col=1,title=reconciler::wrong%0A::error::z" "\n"
    )


def test_gitlab_reads_every_problem() -> None:
    first, second = json.loads(problems_gitlab([PROBLEM, WHOLE_FILE]))
    assert first == {
        "description": 'spec.subtyp: not a field, 100% sure; did you mean "subtype"?',
        "check_name": "manifest",
        "fingerprint": first["fingerprint"],
        "severity": "major",
        "location": {"path": "a b/tests.yaml", "lines": {"begin": 7}},
    }
    assert second["location"] == {"path": "a.yaml", "lines": {"begin": 1}}
    assert json.loads(problems_gitlab([])) == []


def _fingerprints(*problems: Problem) -> list[str]:
    return [entry["fingerprint"] for entry in json.loads(problems_gitlab(problems))]


def test_a_fingerprint_survives_lines_that_move() -> None:
    moved = Problem(PROBLEM.file, 90, 1, PROBLEM.path, PROBLEM.message)
    assert _fingerprints(PROBLEM) == _fingerprints(moved)


def test_fingerprints_are_unique_even_for_the_same_mistake_twice() -> None:
    again = Problem(PROBLEM.file, 90, 1, PROBLEM.path, PROBLEM.message)
    assert len(set(_fingerprints(PROBLEM, again, WHOLE_FILE))) == 3
    assert _fingerprints(PROBLEM, again)[0] == _fingerprints(PROBLEM)[0]


def test_sarif_holds_what_code_scanning_asks_for() -> None:
    data = json.loads(problems_sarif([PROBLEM, WHOLE_FILE], version="1.2.3"))
    [run] = data["runs"]
    assert data["version"] == "2.1.0"
    assert run["tool"]["driver"]["name"] == "reconciler"
    assert run["tool"]["driver"]["semanticVersion"] == "1.2.3"
    rule, warning = run["tool"]["driver"]["rules"]
    assert {"id", "shortDescription", "fullDescription", "help"} <= rule.keys() & warning.keys()
    first, second = run["results"]
    assert first["ruleId"] == rule["id"]
    assert first["message"]["text"].startswith("spec.subtyp: not a field")
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a%20b/tests.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 7, "startColumn": 5},
            }
        }
    ]
    assert second["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1}
    assert len(first["partialFingerprints"]["primaryLocationLineHash"]) == 64


def test_every_format_survives_hostile_text(hostile: str, renderings: Callable[[str], dict[str, str]]) -> None:
    found = renderings(hostile)
    assert len(json.loads(found["gitlab json"])) == 12
    assert len(json.loads(found["sarif json"])["runs"][0]["results"]) == 12
    assert sum(line.startswith("::error ") for line in found["github"].split("\n")) == 10


# ------------------------------------------------------------------------------------- as others read it


def test_sarif_is_read_by_a_strict_model_of_the_standard(hostile: str) -> None:
    """Every key and type is as SARIF 2.1.0 has it."""
    problems = [PROBLEM, WHOLE_FILE, Problem(hostile, 3, 1, hostile, hostile)]
    (run,) = Sarif.model_validate_json(problems_sarif(problems, version="1.2.3")).runs
    assert run.results is not None
    places = [place for result in run.results for place in result.locations or ()]
    regions = [place.physical_location.region for place in places if place.physical_location]
    assert [region.start_line for region in regions if region] == [7, 1, 3]


def test_sarif_holds_no_more_than_code_scanning_takes() -> None:
    """Beyond 25,000 results GitHub refuses the whole file: the last one counts the others."""
    problems = [Problem("a.yaml", line, 1, "", f"wrong {line}") for line in range(1, 103)]
    results = json.loads(problems_sarif(problems, version="1", most=100))["runs"][0]["results"]
    assert MOST_RESULTS == 25_000
    assert len(results) == 100
    assert results[-1]["message"]["text"] == "3 more problems in the manifests"


def test_the_plan_widget_counts_a_replace_twice(plan: Plan, empty: Plan) -> None:
    """As Terraform does: what is replaced is deleted and created."""
    assert json.loads(plan_gitlab(plan)) == {"create": 2, "update": 4, "delete": 3}
    assert plan_gitlab(empty) == '{"create":0,"update":0,"delete":0}\n'


def test_gitlab_finds_all_that_code_quality_asks_for(hostile: str) -> None:
    """The documented fields, a known severity, a path from the top of the checkout, no byte order mark."""
    text = problems_gitlab([PROBLEM, WHOLE_FILE, Problem(f"./{hostile}", 3, 1, hostile, hostile)])
    schema = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "properties": {
                "description": {"type": "string", "minLength": 1},
                "check_name": {"type": "string"},
                "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "properties": {
                        "path": {"type": "string", "pattern": "^(?!\\./)"},
                        "lines": {"properties": {"begin": {"type": "integer", "minimum": 1}}, "required": ["begin"]},
                    },
                },
            },
        },
    }
    assert list(Draft7Validator(schema).iter_errors(json.loads(text))) == []
    assert text[0] == "["
