"""Turn the kinds' declarations into JSON schemas (draft 7) for editors.  Pure.

A schema is a little more lenient than ``load``: a required field may come from the defaults beside a list, and a text
with a ``${...}`` in it may become anything.  A mapping or a list of mappings may be such a text by its type and a
pattern, not by a second schema beside it: an editor could then no longer say what is wrong inside.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from reconciler.manifests.documents import API_VERSION, ENVIRONMENT, PIN, document_kinds, listed_in, root_kinds
from reconciler.manifests.environment import Environment
from reconciler.manifests.expansion import FOR_EACH
from reconciler.manifests.overrides import match_words, overridable_fields
from reconciler.manifests.pins import PinSpec
from reconciler.model.kind import AnyKind, Vendor

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_WHOLE_REFERENCE: Final = r"^\$\{[^{}]+\}$"
_REFERENCE: Final[Schema] = {"$ref": "#/definitions/Reference"}
_TEXT: Final[Schema] = {"type": "string"}
_NAME: Final[Schema] = {**_TEXT, "minLength": 1, "description": "What messages call it."}
_NULL: Final[Schema] = {"type": "null"}
_LABELS: Final[Schema] = {
    "type": ["object", "string"],
    "pattern": _WHOLE_REFERENCE,
    "additionalProperties": _TEXT,
    "description": "For selecting in manifests; never sent to the platform.",
}
_IN_METADATA = ("name", "labels", "renamedFrom")


def schemas(vendors: Sequence[Vendor]) -> dict[str, Schema]:
    """File name -> schema, one for each kind of document."""
    found: dict[str, Schema] = {}
    for vendor in vendors:
        documents = _Documents(vendor)
        for kind in root_kinds(vendor):
            found[_file_name(vendor.api_version, kind.word)] = documents.root(kind)
        for kind in vendor.kinds:
            if kind.set_document:
                found[_file_name(vendor.api_version, kind.set_document)] = documents.set_of(kind)
    found[_file_name(API_VERSION, ENVIRONMENT)] = _environment(vendors)
    found[_file_name(API_VERSION, PIN)] = _pin()
    return dict(sorted(found.items()))


def schema_names(vendors: Sequence[Vendor]) -> dict[str, str]:
    """What may stand in a document, as plans name it (``"openlayer.Project"``) -> the file name of its schema."""
    known = document_kinds(vendors)
    found = {f"{_owner(version)}.{word}": _file_name(version, word) for version in known for word in known[version]}
    return dict(sorted(found.items()))


def _owner(api_version: str) -> str:
    return api_version.partition("/")[0]


def schema_text(schema: Schema) -> str:
    """The one spelling of a schema: the same schema has the same bytes."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _file_name(api_version: str, word: str) -> str:
    return f"{api_version.replace('/', '.')}.{word.lower()}.json"


# -------------------------------------------------------------------------------------- vendors' documents


class _Documents:
    """The schemas of one vendor's documents."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.models, self.definitions = _definitions([kind.spec for kind in vendor.kinds])

    def root(self, kind: AnyKind) -> Schema:
        """A document of a root kind: its own fields, and the lists of what is declared in it."""
        own = self._fields(kind, without=_IN_METADATA)
        model = self.models[kind.spec]
        required = [name for name in model.get("required", []) if name not in _IN_METADATA]
        spec = _object({**own, **self._lists(kind)}, required)
        metadata = self._fields(kind)
        named = {name: metadata[name] for name in _IN_METADATA if name in metadata}
        return self._document(kind.word, str(model.get("description", "")), _object(named, ["name"]), spec)

    def set_of(self, kind: AnyKind) -> Schema:
        """A document with items for many roots."""
        assert kind.plural
        assert kind.set_document
        parent = (kind.document or "").rpartition(".")[2].lower()
        names = {"type": "array", "items": _TEXT, "minItems": 1}
        names = {**_or_reference(names), "description": f"Names of {parent}s, or globs."}
        labels = {**_LABELS, "minProperties": 1, "description": "Labels that a chosen one has; all of them."}
        applies = _or_reference(_object({f"{parent}s": names, "matchLabels": labels}))
        properties = {
            "appliesTo": {**applies, "minProperties": 1, "description": "Where the items go; both must hold."},
            "params": {"type": "object", "description": "Values of ${param.x}."},
            **self._list(kind),
        }
        metadata = _object({"name": _NAME, "labels": _LABELS}, ["name"])
        text = f"{kind.plural.capitalize()} that many {parent}s have in common."
        return self._document(kind.set_document, text, metadata, _object(properties, ["appliesTo", kind.plural]))

    def _document(self, word: str, description: str, metadata: Schema, spec: Schema) -> Schema:
        return _document(self.vendor.api_version, word, description, metadata, spec, self.definitions)

    def _fields(self, kind: AnyKind, *, without: Sequence[str] = ()) -> dict[str, Schema]:
        properties = _kind_fields(kind, self.models[kind.spec])
        return {name: schema for name, schema in properties.items() if name not in without}

    def _lists(self, kind: AnyKind) -> dict[str, Schema]:
        """The lists that stand in an item of this kind."""
        inner = listed_in(kind, self.vendor.kinds)
        return {name: schema for child in inner for name, schema in self._list(child).items()}

    def _list(self, kind: AnyKind) -> dict[str, Schema]:
        """The list of a kind's items, and the defaults beside it."""
        assert kind.plural
        each = {
            "description": "Literal values; the item is made once for each, as ${each} or ${each.x}.",
            "anyOf": [{"type": "array", "minItems": 1}, _REFERENCE],
        }
        found: dict[str, Schema] = {}
        own, required = self._fields(kind), self.models[kind.spec].get("required", [])
        if kind.defaults_field:
            defaults = self._fields(kind, without=("name", "renamedFrom"))
            text = f"What {kind.plural} have where they say nothing."
            found[kind.defaults_field] = {**_or_reference(_object(defaults)), "description": text}
            own, required = {**own, **{name: _or_null(schema) for name, schema in defaults.items()}}, ["name"]
        fields = {**own, FOR_EACH: each, **self._lists(kind)}
        text = str(self.models[kind.spec].get("description", ""))
        item = {**_object(fields, required), "description": text}
        described = f"Each one: {text[:1].lower()}{text[1:]}"
        return {**found, kind.plural: {"type": "array", "items": item, "description": described}}


# ------------------------------------------------------------------------------------------ Environment


def _environment(vendors: Sequence[Vendor]) -> Schema:
    kinds = [kind for vendor in vendors for kind in vendor.kinds]
    open_kinds = [kind for kind in kinds if overridable_fields(kind)]
    models, definitions = _definitions([Environment, *(kind.spec for kind in open_kinds)])
    properties = copy.deepcopy(models[Environment]["properties"])
    name = properties.pop("name")
    words = {
        word: {**_TEXT, "description": "A glob over names."} for kind in open_kinds for word in match_words(kind, kinds)
    }
    settable: dict[str, Schema] = {}
    for kind in open_kinds:
        for field in overridable_fields(kind):
            schema = _partial(_kind_fields(kind, models[kind.spec])[field], definitions)
            settable[field] = _either(settable[field], schema) if field in settable else schema
    override = definitions["Override"]["properties"]
    override["match"] |= _or_reference(_object(words))
    override["set"] |= _or_reference(_object(settable))
    return _document(
        API_VERSION, ENVIRONMENT, str(models[Environment].get("description", "")),
        _object({"name": name}, ["name"]), _object(properties), definitions,
    )  # fmt: skip


def _pin() -> Schema:
    models, definitions = _definitions([PinSpec])
    model = models[PinSpec]
    metadata = _object({"name": _NAME, "labels": _LABELS}, ["name"])
    spec = _object(dict(model["properties"]), model["required"])
    text = str(model.get("description", ""))
    return _document(API_VERSION, PIN, text, metadata, spec, definitions)


def _either(one: Schema, other: Schema) -> Schema:
    """What two kinds say of a field of the same name."""
    options = _options(one)
    options += [option for option in _options(other) if option not in options]
    return {**_annotations(other), **_annotations(one), "anyOf": options} if len(options) > len(_options(one)) else one


def _partial(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """A mapping, or a list of mappings, that may be given in part, as an override gives them."""
    text = json.dumps(schema)
    for name in re.findall(r'{"\$ref": "#/definitions/(\w+)"}', text):
        if "required" not in definitions.get(name, {}):
            continue
        part = f"{name}Override"
        definitions[part] = {key: value for key, value in definitions[name].items() if key != "required"}
        text = text.replace(f'"#/definitions/{name}"', f'"#/definitions/{part}"')
    partial: Schema = json.loads(text)
    return partial


def _reachable(schemas: Iterable[Any], definitions: dict[str, Schema]) -> dict[str, Schema]:
    """The definitions that something refers to, directly or not."""
    text = json.dumps([*schemas])
    used: dict[str, Schema] = {}
    while True:
        found = {name for name in definitions if name not in used and f'"#/definitions/{name}"' in text}
        if not found:
            return {name: definitions[name] for name in sorted(used)}
        used.update((name, definitions[name]) for name in found)
        text = json.dumps([definitions[name] for name in found])


# ---------------------------------------------------------------------------------------------- shapes


def _document(
    api_version: str, word: str, description: str, metadata: Schema, spec: Schema, definitions: dict[str, Schema]
) -> Schema:
    properties = {
        "apiVersion": {"const": api_version},
        "kind": {"const": word},
        "metadata": metadata,
        "spec": spec,
    }
    reference = {**_TEXT, "pattern": r"\$\{[^{}]+\}", "description": "A variable; the value keeps its type."}
    used = _reachable([properties, _REFERENCE], {**definitions, "Reference": reference})
    return {
        "$schema": DRAFT,
        "title": f"{api_version} {word}",
        "description": description,
        **_object(properties, list(properties)),
        "definitions": used,
    }


def _object(properties: dict[str, Schema], required: Sequence[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def _or_reference(schema: Schema) -> Schema:
    """The schema of a mapping or a list, which may as well be the value of a variable."""
    return {**schema, "type": [schema["type"], "string"], "pattern": _WHOLE_REFERENCE}


def _kind_fields(kind: AnyKind, model: Schema) -> dict[str, Schema]:
    """The fields of a kind; those with a list of declared resources also take a label selector."""
    properties = {**model["properties"], **{name: _set(model["properties"][name]) for name in kind.sets}}
    selector = _object({"labels": {**_LABELS, "minProperties": 1}}, ["labels"])
    for name, shape in kind.shapes.items():
        if shape.ref is not None and shape.ref.declared and shape.item is not None:
            options = [*_options(properties[name]), {**selector, "description": "Those with these labels."}]
            properties[name] = {**_annotations(properties[name]), "anyOf": options}
    return properties


def _or_null(schema: Schema) -> Schema:
    """The schema of a field that may have a default, which null takes off."""
    options = _options(schema)
    return schema if _NULL in options else {**_annotations(schema), "anyOf": [*options, _NULL]}


def _set(schema: Schema) -> Schema:
    """The schema of a field, with lists in which nothing stands twice."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_set(option) for option in schema["anyOf"]]}
    return {**schema, "uniqueItems": True} if schema.get("type") == "array" else schema


_Models = dict[type[BaseModel], Schema]


def _definitions(models: Sequence[type[BaseModel]]) -> tuple[_Models, dict[str, Schema]]:
    """(schema of each model, every definition by name), in our spelling."""
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in models]
    places, whole = models_json_schema(wanted, by_alias=True, ref_template="#/definitions/{model}")
    found = {name: _tidied(schema) for name, schema in whole["$defs"].items()}
    names = {model: places[(model, "validation")]["$ref"].rpartition("/")[2] for model in models}
    return {model: found[name] for model, name in names.items()}, found


# --------------------------------------------------------------------------------- pydantic's schemas, tidied

_ANNOTATIONS = ("description", "default", "examples")
_LISTS = ("anyOf", "oneOf", "allOf")


def _annotations(schema: Schema) -> Schema:
    """What a schema says to people.  Titles repeat names, and defaults that are empty say nothing."""
    return {key: schema[key] for key in _ANNOTATIONS if key in schema and schema[key] not in (None, [], {})
            and not isinstance(schema[key], dict)}  # fmt: skip


def _options(schema: Schema) -> list[Schema]:
    """The alternatives of a schema, itself if it has none."""
    if "anyOf" in schema:
        return list(schema["anyOf"])
    return [{key: value for key, value in schema.items() if key not in _ANNOTATIONS}]


def _tidied(schema: Schema) -> Schema:
    """The schema with references accepted beside everything that is not any text."""
    rest = _rules(schema)
    options = [option for each in _alternatives(rest) for option in _options(_tidied(each))] or [rest]
    unique = [option for index, option in enumerate(options) if option not in options[:index]]
    if any(map(_needs_reference, unique)) and _REFERENCE not in unique:
        unique.append(_REFERENCE)
    annotations = _annotations(schema)
    if len(unique) > 1 or (annotations and "$ref" in unique[0]):  # draft 7 reads nothing beside a $ref
        return {**annotations, "anyOf": unique}
    return {**annotations, **unique[0]}


def _alternatives(schema: Schema) -> list[Schema]:
    """The schemas of which one must hold.  Where pydantic says exactly one, their tag tells them apart anyway."""
    return next((schema[key] for key in _LISTS if key in schema), [])


def _rules(schema: Schema) -> Schema:
    """The schema without annotations, what is inside of it tidied."""
    rules = {key: value for key, value in schema.items() if key not in (*_ANNOTATIONS, "title", "discriminator")}
    if "properties" in rules:
        rules["properties"] = {name: _tidied(each) for name, each in rules["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(rules.get(key), dict):
            rules[key] = _tidied(rules[key])
    is_whole = rules.get("type") == "object" or (rules.get("type") == "array" and "$ref" in rules.get("items", {}))
    return _or_reference(rules) if is_whole else rules


def _needs_reference(schema: Schema) -> bool:
    """Whether a text with a reference would not be accepted as it is."""
    kind = schema.get("type")
    if kind in ("boolean", "integer", "number"):
        return True
    if kind == "array":
        return "$ref" not in schema.get("items", {})
    return "enum" in schema or "const" in schema or (kind == "string" and "pattern" in schema)
