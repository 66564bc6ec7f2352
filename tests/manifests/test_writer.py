"""Written YAML reads back as what was written; formatted YAML says what it said."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.formatter import fmt
from reconciler.manifests.loader import FORBIDDEN, parse
from reconciler.manifests.writer import scalar_text, to_yaml

texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\n\t"), max_size=30)
    | st.text(st.sampled_from("ab \n#:-'\"[]{}>|<=!&*%@`,?~0x1_.e"), max_size=12)
    | st.sampled_from(["no", "on", "012", "1e3", "12:30", "2026-11-03", ".5", "null", "<<", "=", ">=", "0x1f", "---"])
).filter(lambda text: FORBIDDEN.search(text) is None)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
documents = st.dictionaries(texts, values, max_size=5)


@given(documents)
@example({"a": "x\n", "b": "x\ny", "c": " x\ny\n", "d": "x\n\n", "e": ["x\ny\n", {"f": "a\n\nb\n"}]})
def test_what_is_written_is_read_back(document: dict[str, object]) -> None:
    assert parse(to_yaml(document)) == [document]


@given(documents)
def test_yaml_1_1_reads_it_alike(document: dict[str, object]) -> None:
    assert yaml.load(to_yaml(document), Loader=yaml.CSafeLoader) == document


def test_a_manifest_reads_as_a_person_would_write_it() -> None:
    document = {
        "apiVersion": "openlayer/v1",
        "kind": "Project",
        "metadata": {"name": "support-bot", "labels": {"team": "cx"}},
        "spec": {
            "description": "Answers questions.\nAsks back.\n",
            "tests": [
                {
                    "name": "Answers contain no PII: never",
                    "pipelines": ["production", "canary"],
                    "thresholds": [{"measurement": "containsPIIRowCount", "operator": "<=", "value": 0.5}],
                    "lifecycle": {},
                }
            ],
        },
    }
    assert (
        to_yaml(document, schema="../schemas/x.json")
        == """\
# yaml-language-server: $schema=../schemas/x.json
apiVersion: openlayer/v1
kind: Project
metadata:
  name: support-bot
  labels:
    team: cx
spec:
  description: |
    Answers questions.
    Asks back.
  tests:
    - name: "Answers contain no PII: never"
      pipelines: [production, canary]
      thresholds:
        - measurement: containsPIIRowCount
          operator: "<="
          value: 0.5
      lifecycle: {}
"""
    )


@pytest.mark.parametrize("text", ["no", "012", "1e3", "~", "", "12:30", "2026-11-03", ">=", "a: b", "a #b", " a", "%x"])
def test_a_text_that_could_be_read_as_something_else_is_quoted(text: str) -> None:
    assert scalar_text(text) == json.dumps(text)


@pytest.mark.parametrize("text", ["production", "24h", "llm-base", "it's", "100% of a&b (c)", "C:/x", "Größe"])
def test_a_text_that_can_only_be_itself_is_not_quoted(text: str) -> None:
    assert scalar_text(text) == text


# --------------------------------------------------------------------------------------------- formatting

UNTIDY = """\
---
# yaml-language-server: $schema=x.json


apiVersion:   openlayer/v1
kind: 'Project'
metadata:
    name: support-bot                 # identity
    labels: {team: cx,tier:   "prod"}
spec:
    description: >-
        Folded text
        goes on

        here
    purpose: |   # literal
          a
            b

    # about the pipelines
    pipelines:
    - name: production
      # inside
      labels: {tier: prod}
    # between
    -   name: canary   # small
    # - name: later
    testDefaults: &d
      mode: monitoring                # monitoring | development
    modelTypes: [a,
      b, # bee
      c]
    tests:
      - name: x
        thresholds:
          - {measurement: count, operator: <=, value: 0.90}
          # more to come
      -
        name: "it's"
        empty:
        on_: True
        again: *d
    # end of spec
# end of file
"""
TIDY = """\
# yaml-language-server: $schema=x.json

apiVersion: openlayer/v1
kind: "Project"
metadata:
  name: support-bot                   # identity
  labels: {team: cx, tier: "prod"}
spec:
  description: >-
    Folded text
    goes on

    here
  purpose: |   # literal
    a
      b

  # about the pipelines
  pipelines:
    - name: production
      # inside
      labels: {tier: prod}
    # between
    - name: canary     # small
    # - name: later
  testDefaults: &d
    mode: monitoring                  # monitoring | development
  modelTypes:
    - a
    - b  # bee
    - c
  tests:
    - name: x
      thresholds:
        - {measurement: count, operator: "<=", value: 0.90}
        # more to come
    - name: "it's"
      empty: null
      on_: true
      again: *d
  # end of spec
# end of file
"""


def test_an_untidy_manifest_is_made_tidy_and_keeps_its_comments() -> None:
    assert fmt(UNTIDY) == TIDY
    assert fmt(TIDY) == TIDY


@given(documents, st.sampled_from(["yaml", "json", "block"]))
@settings(max_examples=200)
def test_formatting_keeps_the_meaning_and_twice_is_once(document: dict[str, object], style: str) -> None:
    if style == "yaml":
        text = to_yaml(document)
    elif style == "json":
        text = json.dumps(document, ensure_ascii=False, indent=3)
    else:
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, width=1000)
    try:
        before = parse(text)
    except ManifestsInvalid:
        return  # PyYAML writes escapes and tags that are refused here
    once = fmt(text)
    assert parse(once) == before
    assert fmt(once) == once


@given(st.data())
@settings(max_examples=200)
def test_comments_and_empty_lines_may_stand_anywhere(data: st.DataObject) -> None:
    """Between any two lines, at any depth, and behind values."""
    lines = TIDY.split("\n")
    for number in range(len(lines) - 1, -1, -1):
        match data.draw(st.sampled_from(["", "", "", "above", "beside", "blank"])):
            case "above":
                lines.insert(number, " " * data.draw(st.integers(0, 8)) + f"# note {number}")
            case "beside" if "#" not in lines[number] and lines[number]:
                lines[number] += f" # side {number}"
            case "blank":
                lines.insert(number, "")
    text = "\n".join(lines)
    try:
        before = parse(text)
    except ManifestsInvalid:
        return  # a comment cannot stand inside of a folded text
    once = fmt(text)
    assert parse(once) == before
    assert fmt(once) == once
    assert sorted(part for part in once.split() if part.isdigit()) == sorted(
        part for part in text.split() if part.isdigit()
    )


def test_several_documents_stay_apart() -> None:
    assert fmt("a: 1\n---\n# two\nb: 2\n...\n---\n") == "a: 1\n---\n# two\nb: 2\n"


def test_an_alias_may_be_a_key() -> None:
    """With a space before the colon, which would be a part of its name."""
    text = "a: &team cx\nb: {*team : 1, *team2 : [x]}\n*team   : # why\n    *team2 : 2\n*team3 : [x,\n z]\n"
    text = f"s: &team2 t\nu: &team3 v\n{text}"
    once = fmt(text)
    assert once == (
        "s: &team2 t\nu: &team3 v\na: &team cx\nb: {*team : 1, *team2 : [x]}\n"
        "*team :   # why\n  *team2 : 2\n*team3 :\n  - x\n  - z\n"
    )
    assert fmt(once) == once
    assert parse(once) == parse(text)


def test_a_comment_in_brackets_goes_with_what_follows_it() -> None:
    """Whatever column it stands in; before the closing bracket it goes with the last item."""
    text = "a:\n  b: [1, # one\n 2, # two\n # three\n 3\n  # four\n]\n  # five\n"
    text += "  c: {x: 1,\n# six\n z: [\n   # seven\n 2]}\n  d:\n  - [[1,\n\n 2], # eight\n   # nine\n   3]\n"
    once = fmt(text)
    assert once == (
        "a:\n  b:\n    - 1  # one\n    - 2  # two\n    # three\n    - 3\n    # four\n  # five\n  c:\n    x: 1\n"
        "    # six\n    z:\n      # seven\n      - 2\n"
        "  d:\n    - - - 1\n\n        - 2  # eight\n      # nine\n      - 3\n"
    )
    assert fmt(once) == once


def test_a_long_list_in_brackets_is_broken_up() -> None:
    words = [f"word-{number:02}" for number in range(20)]
    assert fmt(f"a: [{', '.join(words)}]\n") == "a:\n" + "".join(f"  - {word}\n" for word in words)


def test_a_manifest_that_can_not_be_read_is_not_formatted() -> None:
    with pytest.raises(ManifestsInvalid, match="quote the operator"):
        fmt("operator: >\nvalue: 1\n")


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a: 1\n---\nc:\n  - b: # why\n      >-\n      text\n", "4:8", "move the comment above the key"),
        ("a: 1\nb: &q # why\n  |\n  text\nc: *q\n", "2:4", "write the anchor beside the text"),
        ("a: 1\nb: &q # or |\n  |\n  text\nc: *q\n", "2:4", "write the anchor beside the text"),
    ],
)
def test_what_has_no_canonical_form_is_named_by_its_place(text: str, place: str, hint: str) -> None:
    with pytest.raises(ManifestsInvalid, match=f"^manifest.yaml:{place}: this has no canonical form; {hint}"):
        fmt(text)
