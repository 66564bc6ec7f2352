"""From files to desired resources: what ``load`` hands back when nothing is wrong."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.validator import Loaded, declared_environments, load
from reconciler.model.kind import AnyKind, Vendor
from reconciler.model.resource import Address, Gate, Lifecycle, Resource
from reconciler.providers.openlayer import OPENLAYER

PROJECT = """\
apiVersion: openlayer/v1
kind: Project
metadata:
  name: support-bot
  labels: {team: cx}
spec:
  taskType: llm-base
  pipelines:
    - name: production
      labels: {tier: prod}
    - name: canary
"""
ROW_COUNT = "{insightName: metrics, measurement: numRows, operator: gte, value: 10}"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def loaded(
    root: Path, *paths: str, environment: str | None = None, variables: Mapping[str, str] | None = None
) -> Loaded:
    return load(paths, root=root, vendors=[OPENLAYER], environment=environment, variables=variables)


def resource(root: Path, address: str, *, environment: str | None = None) -> Resource:
    return loaded(root, environment=environment).desired.resources[Address.parse(address)]


def test_a_project_its_pipelines_and_its_tests_are_resources(tmp_path: Path) -> None:
    write(
        tmp_path,
        project=PROJECT
        + f"""\
  tests:
    - name: Rows
      type: integrity
      subtype: rowCount
      severity: warn
      pipelines: [production]
      evaluationWindow: 48h
      gate: {{onSkipped: pass}}
      labels: {{owner: ann}}
      lifecycle: {{protect: true}}
      thresholds: [{ROW_COUNT}]
""",
    )
    found = resource(tmp_path, "openlayer.Test/support-bot/monitoring/Rows")
    assert found.fields == {
        "name": "Rows",
        "type": "integrity",
        "subtype": "rowCount",
        "pipelines": ["production"],
        "evaluationWindow": "2d",
        "thresholds": [{"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": 10}],
    }
    assert found.gate == Gate(severity="warn", on_skipped="pass")
    assert found.lifecycle == Lifecycle(protect=True)
    assert found.labels == {"owner": "ann"}
    assert found.references == (
        Address("openlayer.InferencePipeline", ("support-bot", "production")),
        Address("openlayer.Project", ("support-bot",)),
    )
    assert str(found.source) == "project.yaml:13:7"
    assert found.line_of("thresholds") == 22
    assert [str(each.address) for each in loaded(tmp_path).desired] == [
        "openlayer.Project/support-bot",
        "openlayer.InferencePipeline/support-bot/production",
        "openlayer.InferencePipeline/support-bot/canary",
        "openlayer.Test/support-bot/monitoring/Rows",
    ]


def test_the_line_of_a_field_is_where_it_was_written(tmp_path: Path) -> None:
    """In the item, in the defaults above it or below it; the item's own where it stands in another file or nowhere."""
    settings = (
        "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\n"
        "spec: {overrides: [{match: {test: Rows 2}, set: {enabled: true}}]}\n"
    )
    tests = "".join(
        f"    - name: Rows {number}\n      subtype: rowCount\n      thresholds: [{ROW_COUNT}]\n" for number in (1, 2)
    )
    above = f"  testDefaults:\n    type: integrity\n  tests:\n{tests}"
    below = f"  tests:\n{tests}  testDefaults:\n    type: integrity\n"
    for defaults, one, two, shared in ((above, 15, 18, 13), (below, 13, 16, 20)):
        write(tmp_path, project=PROJECT + defaults, a=settings, z=settings.replace("staging", "other"))
        found = loaded(tmp_path, environment="staging").desired.resources
        for number, line in ((1, one), (2, two)):
            rows = found[Address.parse(f"openlayer.Test/support-bot/monitoring/Rows {number}")]
            fields = ("name", "subtype", "thresholds", "type", "enabled", "mode")
            assert [rows.line_of(name) for name in fields] == [line, line + 1, line + 2, shared, line, line]


def test_defaults_are_laid_under_each_item_and_mappings_merge(tmp_path: Path) -> None:
    write(
        tmp_path,
        project=PROJECT
        + f"""\
  testDefaults:
    type: integrity
    subtype: rowCount
    severity: info
    lifecycle: {{protect: true}}
    evaluationWindow: 24h
    thresholds: [{ROW_COUNT}]
  tests:
    - name: As it is
    - name: Another
      severity: error
      evaluationWindow: null
      lifecycle: {{onRemoval: keep}}
""",
    )
    plain = resource(tmp_path, "openlayer.Test/support-bot/monitoring/As it is")
    assert plain.fields["evaluationWindow"] == "24h"
    assert plain.gate.severity == "info"
    other = resource(tmp_path, "openlayer.Test/support-bot/monitoring/Another")
    assert "evaluationWindow" not in other.fields
    assert other.gate.severity == "error"
    assert other.lifecycle == Lifecycle(protect=True, onRemoval="keep")


ANY_DEFAULT = {
    "description": "Shared",
    "mode": "development",
    "labels": "{team: cx}",
    "lifecycle": "{protect: true}",
    "pipelines": "[production]",
    "excludePipelines": "[canary]",
    "evaluationWindow": "24h",
    "delayWindow": "1h",
    "includeHistoricalData": "true",
    "uses": "[mlModel]",
    "severity": "info",
    "flaky": "true",
    "warn": f"[{ROW_COUNT}]",
    "regress": "{maxDrop: 5%}",
    "gate": "{runs: 3}",
    "enabled": "false",
}


@pytest.mark.parametrize("field", ANY_DEFAULT)
def test_null_takes_any_default_off_again(field: str, tmp_path: Path) -> None:
    """As if it stood nowhere."""
    test = f"""\
    - name: A
      type: integrity
      subtype: rowCount
      thresholds: [{ROW_COUNT}]
"""
    defaults = f"  testDefaults: {{{field}: {ANY_DEFAULT[field]}}}\n"
    found = []
    for spec in (f"{defaults}  tests:\n{test}      {field}: null\n", f"  tests:\n{test}"):
        write(tmp_path, project=f"{PROJECT}{spec}")
        (one,) = (each for each in loaded(tmp_path).desired if each.address.name == "A")
        found.append((one.address, one.fields, one.gate, one.lifecycle, one.labels))
    assert found[0] == found[1]


def test_null_takes_off_no_default_that_is_not_there(tmp_path: Path) -> None:
    """Then it is a mistake, as it is for what must be given."""
    write(
        tmp_path,
        project=PROJECT
        + f"""\
  testDefaults: {{type: integrity, flaky: true}}
  tests:
    - {{name: A, type: null, subtype: rowCount, severity: null, flaky: null, thresholds: [{ROW_COUNT}]}}
""",
    )
    with pytest.raises(ManifestsInvalid) as caught:
        loaded(tmp_path)
    assert [(each.path, each.message) for each in caught.value.problems] == [
        ("spec.tests[0].type", "is missing"),
        ("spec.tests[0].severity", 'null is not "error", "warn" or "info"'),
    ]


SET = """\
apiVersion: openlayer/v1
kind: TestSet
metadata: {{name: basics}}
spec:
  appliesTo: {applies}
  params: {{limit: 5, columns: [question, answer]}}
  tests:
    - name: Rows
      type: integrity
      subtype: rowCount
      thresholds: [{{insightName: metrics, measurement: numRows, operator: gte, value: "${{param.limit}}"}}]
"""


@pytest.mark.parametrize(
    ("applies", "projects"),
    [
        ("{projects: [support-bot]}", ["support-bot"]),
        ('{projects: ["*-bot"]}', ["sales-bot", "support-bot"]),
        ("{matchLabels: {team: cx}}", ["support-bot"]),
        ('{projects: ["*"], matchLabels: {team: cx}}', ["support-bot"]),
    ],
)
def test_a_set_adds_its_tests_to_the_projects_that_it_names_and_that_have_its_labels(
    tmp_path: Path, applies: str, projects: list[str]
) -> None:
    other = PROJECT.replace("support-bot", "sales-bot").replace("team: cx", "team: sales")
    write(tmp_path, a=PROJECT, b=other, c=SET.format(applies=applies))
    tests = [each for each in loaded(tmp_path).desired if each.address.kind == "openlayer.Test"]
    assert sorted(each.address.root for each in tests) == projects
    assert {each.fields["thresholds"][0]["value"] for each in tests} == {5}  # type: ignore[call-overload,index]


def test_for_each_repeats_an_item_for_every_value(tmp_path: Path) -> None:
    write(
        tmp_path,
        project=PROJECT
        + """\
  tests:
    - name: At most ${each.max} empty in ${each.column}
      forEach: [{column: question, max: 0}, {column: answer, max: 2}]
      type: integrity
      subtype: nullRowCount
      thresholds:
        - insightName: nullRowCount
          insightParameters: {column_name: "${each.column}"}
          measurement: nullRowCount
          operator: "<="
          value: ${each.max}
    - name: In ${each}
      forEach: [production, canary]
      type: integrity
      subtype: rowCount
      pipelines: ["${each}"]
      thresholds: [{insightName: metrics, measurement: numRows, operator: gte, value: 1}]
""",
    )
    resources = loaded(tmp_path).desired.resources
    names = [address.name for address in resources if address.kind == "openlayer.Test"]
    assert names == ["At most 0 empty in question", "At most 2 empty in answer", "In production", "In canary"]
    answer = resource(tmp_path, "openlayer.Test/support-bot/monitoring/At most 2 empty in answer")
    assert answer.fields["thresholds"] == [
        {
            "insightName": "nullRowCount",
            "insightParameters": {"column_name": "answer"},
            "measurement": "nullRowCount",
            "operator": "<=",
            "value": 2,
        }
    ]
    assert resource(tmp_path, "openlayer.Test/support-bot/monitoring/In canary").fields["pipelines"] == ["canary"]


def test_pipelines_are_chosen_by_label_among_those_of_the_project(tmp_path: Path) -> None:
    test = f"""\
  tests:
    - name: Rows
      type: integrity
      subtype: rowCount
      pipelines: {{labels: {{tier: prod}}}}
      thresholds: [{ROW_COUNT}]
"""
    write(tmp_path, project=PROJECT + test)
    found = resource(tmp_path, "openlayer.Test/support-bot/monitoring/Rows")
    assert found.fields["pipelines"] == ["production"]
    assert Address("openlayer.InferencePipeline", ("support-bot", "production")) in found.references


ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec:
  vars: {window: 1h, rows: 7, from_outside: "${env.RECONCILER_VAR_outside}"}
  apiKey: {fromEnv: OPENLAYER_API_KEY_STAGING}
  policy: {require: [loosen, replace]}
  ownership: state
  state: {url: state/staging.json}
"""
TESTS = f"""\
  tests:
    - name: Rows
      type: integrity
      subtype: rowCount
      evaluationWindow: ${{var.window}}
      description: At least ${{var.rows}} rows, $${{literally}}
      thresholds:
        - {{insightName: metrics, measurement: numRows, operator: gte, value: "${{var.rows}}"}}
        - {{insightName: metrics, measurement: numColumns, operator: gte, value: 1}}
    - name: Columns
      type: integrity
      subtype: rowCount
      thresholds: [{ROW_COUNT}]
"""


def test_an_environment_brings_variables_and_policy(tmp_path: Path) -> None:
    write(tmp_path, project=PROJECT + TESTS, env=ENVIRONMENT)
    result = load(
        [], root=tmp_path, vendors=[OPENLAYER], environment="staging", environ_variables={"RECONCILER_VAR_outside": "1"}
    )
    environment = result.environment
    assert environment is not None
    assert environment.name == "staging"
    assert environment.vars == {"window": "1h", "rows": 7, "from_outside": 1}
    assert environment.api_key is not None
    assert environment.api_key.from_env == "OPENLAYER_API_KEY_STAGING"
    assert environment.policy.require == ("loosen", "replace")
    assert (environment.ownership, environment.state.url) == ("state", "state/staging.json")
    rows = result.desired.resources[Address("openlayer.Test", ("support-bot", "monitoring", "Rows"))]
    assert rows.fields["evaluationWindow"] == "1h"
    assert rows.fields["description"] == "At least 7 rows, ${literally}"
    assert rows.fields["thresholds"][0]["value"] == 7  # type: ignore[call-overload,index]
    assert result.environments == ("staging",)


def test_the_command_line_is_stronger_than_the_environment_and_that_than_the_process(tmp_path: Path) -> None:
    write(tmp_path, project=PROJECT + TESTS, env=ENVIRONMENT)
    environ = {"RECONCILER_VAR_window": "3h", "RECONCILER_VAR_rows": "3", "RECONCILER_VAR_outside": "x"}

    def rows(environment: str | None, variables: Mapping[str, str]) -> tuple[object, object]:
        result = load([], root=tmp_path, vendors=[OPENLAYER], environment=environment, variables=variables,
                      environ_variables=environ)  # fmt: skip
        fields = result.desired.resources[Address("openlayer.Test", ("support-bot", "monitoring", "Rows"))].fields
        return fields["evaluationWindow"], fields["thresholds"][0]["value"]  # type: ignore[call-overload,index]

    assert rows(None, {}) == ("3h", 3)
    assert rows("staging", {}) == ("1h", 7)
    assert rows("staging", {"rows": "9"}) == ("1h", 9)


def test_overrides_change_matching_tests_and_thresholds_one_by_one(tmp_path: Path) -> None:
    overrides = """\
  overrides:
    - match: {project: "support-*", test: Rows, mode: monitoring}
      set:
        severity: info
        pipelines: [canary]
        thresholds: [{measurement: numRows, value: 2}]
    - match: {test: Columns}
      set: {enabled: false}
"""
    env = ENVIRONMENT.replace('"${env.RECONCILER_VAR_outside}"', "1")
    write(tmp_path, project=PROJECT + TESTS, env=env + overrides)
    rows = resource(tmp_path, "openlayer.Test/support-bot/monitoring/Rows", environment="staging")
    assert rows.gate.severity == "info"
    assert rows.fields["pipelines"] == ["canary"]
    assert rows.fields["thresholds"] == [
        {"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": 2},
        {"insightName": "metrics", "measurement": "numColumns", "operator": ">=", "value": 1},
    ]
    names = [each.address.name for each in loaded(tmp_path, environment="staging").desired]
    assert names == ["support-bot", "production", "canary", "Rows"]


def test_a_renamed_resource_names_its_former_address(tmp_path: Path) -> None:
    project = PROJECT.replace("  labels: {team", "  renamedFrom: [help-bot]\n  labels: {team")
    write(tmp_path, project=project.replace("    - name: canary", "    - name: canary\n      renamedFrom: beta"))
    assert resource(tmp_path, "openlayer.Project/support-bot").renamed_from == (
        Address("openlayer.Project", ("help-bot",)),
    )
    assert resource(tmp_path, "openlayer.InferencePipeline/support-bot/canary").renamed_from == (
        Address("openlayer.InferencePipeline", ("support-bot", "beta")),
    )


def test_local_is_built_in_and_any_other_environment_must_be_declared(tmp_path: Path) -> None:
    write(tmp_path, project=PROJECT)
    local = loaded(tmp_path, environment="local")
    assert local.environment is not None
    assert local.environment.name == "local"
    assert local.environments == ()
    assert loaded(tmp_path).environment is None


def test_rows_for_the_emulator_are_named_from_the_root(tmp_path: Path) -> None:
    rows = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: local}
spec:
  emulator:
    rows: [{project: support-bot, pipeline: production, file: rows.jsonl, config: {a: 1}, spread: 12h}]
"""
    write(tmp_path, project=PROJECT, envs__local=rows)
    (tmp_path / "envs" / "rows.jsonl").write_text("{}\n")
    environment = loaded(tmp_path, environment="local").environment
    assert environment is not None
    (row,) = environment.emulator.rows
    assert (row.project, row.pipeline, row.file, row.spread) == (
        "support-bot",
        "production",
        "envs/rows.jsonl",
        "12h",
    )


def test_what_is_missing_in_an_environment_of_another_day_does_not_matter(tmp_path: Path) -> None:
    """References in an Environment that was not chosen are left alone; its shape is checked all the same."""
    typo = ENVIRONMENT.replace("ownership", "owner").replace("staging}", "production}") \
        .replace("1h", '"${var.later}"').replace("[loosen, replace]", '["${var.risk}"]')  # fmt: skip
    write(tmp_path, project=PROJECT, env=typo)
    with pytest.raises(ManifestsInvalid) as caught:
        loaded(tmp_path)
    assert [str(each) for each in caught.value.problems] == [
        'env.yaml:8:3: spec.owner: not a field of Environment; did you mean "ownership"?'
    ]


def test_the_digest_changes_with_files_environment_and_used_variables_only(tmp_path: Path) -> None:
    env = ENVIRONMENT.replace('"${env.RECONCILER_VAR_outside}"', "1")
    write(tmp_path, project=PROJECT + TESTS, env=env)

    def digest(environment: str = "staging", **variables: str) -> str:
        return loaded(tmp_path, environment=environment, variables=variables).desired.digest

    first = digest()
    assert len(first) == 64
    assert digest() == first
    assert digest(unused="1") == first
    assert digest(rows="8") != first
    write(tmp_path, env=env + "# changed\n")
    assert digest() != first


def test_a_variable_that_is_no_unicode_has_a_digest_too(tmp_path: Path) -> None:
    """A shell hands over any bytes; Python shows those that are no UTF-8 as lone surrogates."""
    write(tmp_path, project=PROJECT + "  description: ${var.text}\n")
    one, other = (loaded(tmp_path, variables={"text": text}).desired.digest for text in ("\udcfe", "\udcff"))
    assert one != other


def test_scope_names_the_paths_given_from_the_root(tmp_path: Path) -> None:
    write(tmp_path, a__project=PROJECT, b__project=PROJECT.replace("support-bot", "other"))
    assert loaded(tmp_path, "a", "./b/../b").desired.scope == ("a", "b")
    assert loaded(tmp_path).desired.scope == (".",)
    assert loaded(tmp_path, str(tmp_path / "a" / "project.yaml")).desired.scope == ("a/project.yaml",)


def test_environments_are_found_beside_broken_manifests(tmp_path: Path) -> None:
    write(tmp_path, a="apiVersion: [", env=ENVIRONMENT)
    assert declared_environments([], root=tmp_path, vendors=[OPENLAYER]) == ("staging",)


REFERRING = """\
apiVersion: openlayer/v1
kind: TestSet
metadata: {{name: bomb}}
spec:
  appliesTo: {{matchLabels: {{team: cx}}}}
  params: {{x: {x}}}
  tests:
    - name: T${{each}}
      forEach: {each}
      description: {description}
      type: integrity
      subtype: rowCount
      thresholds: [{row_count}]
"""


def test_references_that_make_a_bomb_of_a_text_are_refused_in_little_memory(tmp_path: Path) -> None:
    """200 KB that are named 16,000 times would be 3.2 GB."""
    text = REFERRING.format(x="a" * 200_000, each="[1]", description="${param.x}" * 16_000, row_count=ROW_COUNT)
    write(tmp_path, project=PROJECT, bomb=text)
    tracemalloc.start()
    with pytest.raises(ManifestsInvalid) as caught:
        loaded(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (problem,) = caught.value.problems
    assert str(problem) == (
        "bomb.yaml:10:20: spec.tests[0].description: its references make more than 1,048,576 characters of this text;"
        " let it name less, or less often"
    )
    assert peak < 50 * 1024 * 1024


@pytest.mark.parametrize("description", ["${param.x}", "${param.x} of ${each}"])
def test_references_that_make_a_bomb_of_all_texts_together_are_refused(tmp_path: Path, description: str) -> None:
    """One million characters fit, but not for each of a hundred tests; it is said once."""
    each = list(range(100))
    write(tmp_path, project=PROJECT)
    write(tmp_path, bomb=REFERRING.format(x="a" * 1_000_000, each=each, description=description, row_count=ROW_COUNT))
    with pytest.raises(ManifestsInvalid) as caught:
        loaded(tmp_path)
    (problem,) = caught.value.problems
    assert str(problem) == (
        "bomb.yaml:10:20: spec.tests[0].description: up to this text, references make more than 67,108,864 characters;"
        " let long values be named less often: a forEach and a set make each text once for each item"
    )
    fewer = each[:60]
    write(tmp_path, bomb=REFERRING.format(x="a" * 1_000_000, each=fewer, description=description, row_count=ROW_COUNT))
    assert len([found for found in loaded(tmp_path).desired if found.address.kind == "openlayer.Test"]) == 60


@pytest.mark.parametrize(
    "spelled", ["{}", "-{}", "{}%", '"{}"', '"0{}"', '"{},5"', '"{}%"', "{}.5", "1e{}", '"0.0{}%"', "0.{}"]
)
def test_a_number_of_more_digits_than_anything_reads_is_a_mistake_at_its_place(tmp_path: Path, spelled: str) -> None:
    """As many after the point are none: they are cut off."""
    value = spelled.format("1" * 1_100_000)
    test = f"    - name: T\n      type: integrity\n      subtype: rowCount\n      thresholds: [{ROW_COUNT}]\n"
    write(tmp_path, project=f"{PROJECT}  tests:\n{test.replace('value: 10', f'value: {value}')}")
    if spelled == "0.{}":
        assert len(loaded(tmp_path).desired.resources) == 4
        return
    with pytest.raises(ManifestsInvalid) as caught:
        loaded(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (16, "spec.tests[0].thresholds[0].value")


@pytest.mark.parametrize("kind", OPENLAYER.kinds, ids=lambda kind: kind.id)
def test_the_example_of_every_kind_is_valid(tmp_path: Path, kind: AnyKind) -> None:
    """The example in a kind's declaration, written where such an item stands, loads as one resource more."""
    from reconciler.manifests.writer import to_yaml

    root = next(each for each in OPENLAYER.kinds if each.parent is None)
    own = dict(kind.example if kind is root else root.example)
    spec = {**own, **({str(kind.plural): [kind.example]} if kind.parent else {})}
    name = spec.pop("name")
    document = {"apiVersion": "openlayer/v1", "kind": root.word, "metadata": {"name": name}, "spec": spec}
    write(tmp_path, example=to_yaml(document))
    assert kind.id in {each.address.kind for each in loaded(tmp_path).desired}


def test_the_code_knows_kinds_by_their_declaration_only(tmp_path: Path) -> None:
    """Another vendor with its own words: roots, lists, defaults and sets work the same."""
    project, pipeline, test, *_ = OPENLAYER.kinds
    from msgspec.structs import replace

    space = replace(project, id="acme.Space")
    stream = replace(pipeline, id="acme.Stream", parent="acme.Space", plural="streams", defaults_field="streamDefaults",
                     set_document="StreamSet")  # fmt: skip
    acme = Vendor("acme", "acme/v2", (space, stream), "https://acme.example", "ACME_KEY", "ACME_URL", "ACME_")
    write(
        tmp_path,
        space="apiVersion: acme/v2\nkind: Space\nmetadata: {name: one}\nspec: {taskType: llm-base}\n",
        set="apiVersion: acme/v2\nkind: StreamSet\nmetadata: {name: s}\nspec:\n  appliesTo: {spaces: [one]}\n"
        "  streamDefaults: {description: x}\n  streams: [{name: live}]\n",
    )
    found = load([], root=tmp_path, vendors=[acme, OPENLAYER]).desired.resources
    assert found[Address("acme.Stream", ("one", "live"))].fields == {"name": "live", "description": "x"}
    assert test.set_document == "TestSet"
