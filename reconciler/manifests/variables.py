"""Replace ``${...}`` in the strings of a manifest.  Pure.

One pass, after parsing, over string values: what a variable holds is never read again, so it can neither change the
structure of a manifest nor refer to other variables.  The only readable environment variables are those named
``RECONCILER_VAR_...``: a pull request must not be able to print a secret into a plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.manifests.positions import Map, Seq, Spot, leaves
from reconciler.manifests.problems import Problems
from reconciler.manifests.scalars import Refused, plain_value
from reconciler.model.nearest import did_you_mean
from reconciler.model.values import reference_meant

ENVIRON_PREFIX: Final = "RECONCILER_VAR_"
LONGEST_TEXT: Final = 1024 * 1024
"""Characters that one text may come to with its references replaced."""
MOST_TEXT: Final = 64 * 1024 * 1024
"""Characters of all such texts of a load, each counted as often as it is made."""
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"(var|param|env)\.([A-Za-z_][A-Za-z0-9_-]*)|each(?:\.([A-Za-z_][A-Za-z0-9_-]*))?")


class Made(Struct):
    """How many characters the texts have together in which references were replaced."""

    characters: int = 0


class Scope(Struct, frozen=True):
    """What can be referred to.  ``used`` collects the names (``var.x``) that were.

    ``given`` are the variables of the command line, which nothing replaces.  ``places``: where in the manifests a name
    got its value (``var.x``, ``each``); that of ``param`` is where all parameters stand.  ``made`` is counted over all
    scopes of a load.  ``sources`` collects what references came to: where a text with some stands -> name (``var x``)
    -> where that has its value.
    """

    var: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict)
    param: Mapping[str, Any] | None = None
    each: Any = None
    in_each: bool = False
    used: set[str] = field(default_factory=set)
    places: Mapping[str, Spot] = field(default_factory=dict)
    made: Made = field(default_factory=Made)
    sources: dict[Spot, dict[str, Spot]] = field(default_factory=dict)

    def below(self, var: Map) -> Scope:
        """The same with an environment's variables, which yield to those of the command line."""
        given = {name: value for name, value in self.var.items() if name in self.given}
        places = {f"var.{name}": var.value_spot(name) for name in var if name not in given}
        return replace(self, var={**self.var, **var, **given}, places={**self.places, **places})

    def with_params(self, param: Map) -> Scope:
        """The same with the parameters of a set."""
        places = {"param": param.spot, **{f"param.{name}": param.value_spot(name) for name in param}}
        return replace(self, param=param, places={**self.places, **places})

    def with_each(self, each: Any, spot: Spot) -> Scope:
        """The same for one item of a ``forEach``."""
        return replace(self, each=each, in_each=True, places={**self.places, "each": spot})

    def note(self, spot: Spot, source: str, key: str, value: Any) -> None:
        """Note where the text at ``spot`` has this value from, as far as that is written in a manifest.

        A parameter that has it from a variable leads there.  What is inside of a mapping or list keeps its own place,
        for it is looked for there.
        """
        place = self.places.get(f"{source}.{key}")
        if place is None:
            return
        name = f"{source} {key}"
        if isinstance(value, (Map, Seq)) and value:
            for _, inner in leaves(value, place):
                self.sources.setdefault(inner, {name: inner})
        else:
            self.sources.setdefault(spot, {}).update(self.sources.get(place) or {name: place})


def scope_of_run(given: Mapping[str, str], environ: Mapping[str, str]) -> Scope:
    """What can be referred to before an environment is chosen: ``--var`` and ``RECONCILER_VAR_x``, as YAML scalars.

    Text that YAML would refuse unquoted (``no``, ``012``) stays text here: a shell has eaten the quotes.  Quotes that
    did come through make text of anything: ``--var 'build="42"'``.
    """
    readable = {name: text for name, text in environ.items() if name.startswith(ENVIRON_PREFIX)}
    var = {name.removeprefix(ENVIRON_PREFIX): _value(text) for name, text in readable.items()}
    var.update((name, _value(text)) for name, text in given.items())
    return Scope(var=var, given=frozenset(given), env=readable)


def origins(scope: Scope) -> dict[str, str]:
    """Where the variables of ``scope_of_run`` got their values, in words."""
    return {name: f"--var {name}" if name in scope.given else f"{ENVIRON_PREFIX}{name}" for name in scope.var}


def _value(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    try:
        return plain_value(text) if text else ""
    except Refused:
        return text


def holds_reference(value: Any) -> bool:
    """Whether there is anything to replace or unescape in a value."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Map):
        return any(map(holds_reference, value.values()))
    return isinstance(value, Seq) and any(map(holds_reference, value))


def resolve(value: Any, spot: Spot, scope: Scope, problems: Problems) -> Any:
    """``value`` with every reference replaced; the very same object when there is none.

    A mistake is reported and leaves the text as it was, and so does a reference to a value that was reported.  Keys are
    never touched.
    """
    if isinstance(value, str):
        return _resolve_text(value, spot, scope, problems) if "${" in value else value
    if isinstance(value, Map):
        return _resolve_map(value, scope, problems)
    if isinstance(value, Seq):
        items = [(resolve(item, at, scope, problems), at) for item, at in zip(value, value.spots, strict=True)]
        same = all(new is old for (new, _), old in zip(items, value, strict=True))
        return value if same else Seq.of(value.spot, items)
    return value


def _resolve_map(value: Map, scope: Scope, problems: Problems) -> Map:
    changed = {}
    spots = value.spots
    for index, (key, item) in enumerate(value.items()):
        new = resolve(item, spots[2 * index + 1], scope, problems)
        if new is not item:
            changed[key] = new
    if not changed:
        return value
    made = Map(value)
    made.update(changed)
    made.spot, made.home, made.places = value.spot, value.home, value.places
    return made


def _resolve_text(text: str, spot: Spot, scope: Scope, problems: Problems) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and whole[1] is not None:
        found, value = _look_up(whole[1], spot, scope, problems)
        if not found or (isinstance(value, str) and not _fits(len(value), spot, scope, problems)):
            return text
        return value

    length = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal length
        if length > LONGEST_TEXT:
            return ""  # it is refused whatever else is in it
        new = replaced(match)
        length += len(new)
        return new

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            problems.add_reference(spot, '"${" without a closing brace', _how_to_close(text))
            return match[0]
        found, value = _look_up(match[1], spot, scope, problems)
        return _spelled(value, match[0], spot, problems) if found else match[0]

    made = _REFERENCE.sub(replacement, text)
    return made if _fits(max(length, len(made)), spot, scope, problems) else text


def _fits(length: int, spot: Spot, scope: Scope, problems: Problems) -> bool:
    """Whether a text of so many characters may be made; counts it, and reports the first that may not.

    References to references there are none, but a long value that is named often enough is a bomb, too.
    """
    before, scope.made.characters = scope.made.characters, scope.made.characters + length
    if length > LONGEST_TEXT:
        message = f"its references make more than {LONGEST_TEXT:,} characters of this text"
        problems.add_reference(spot, message, "let it name less, or less often")
        return False
    if before + length <= MOST_TEXT:
        return True
    if before <= MOST_TEXT:
        message = f"up to this text, references make more than {MOST_TEXT:,} characters"
        hint = "let long values be named less often: a forEach and a set make each text once for each item"
        problems.add_reference(spot, message, hint)
    problems.unresolved.add(spot)
    return False


def _how_to_close(text: str) -> str:
    reference = reference_meant(text)
    return f'a reference is written "{reference}"' if reference else 'write "$${" for a literal "${"'


def _spelled(value: Any, reference: str, spot: Spot, problems: Problems) -> str:
    """How a value reads inside a longer text."""
    if isinstance(value, (dict, list)):
        problems.add_reference(
            spot, f"{reference} is a {_noun(value)} and cannot stand inside a text", "let it be the whole value"
        )
        return reference
    if value is None:
        problems.add_reference(spot, f"{reference} is null and cannot stand inside a text", "give it a value")
        return reference
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _noun(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list"


def _look_up(name: str, spot: Spot, scope: Scope, problems: Problems) -> tuple[bool, Any]:
    """(whether it exists, its value); what does not exist is reported."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        problems.add_reference(spot, f"${{{name}}} is not a reference", _how_to_refer(name))
        return False, None
    if parts[1] is None:
        return _look_up_each(parts[3], spot, scope, problems)
    source, key = parts[1], parts[2]
    if source == "env" and not key.startswith(ENVIRON_PREFIX):
        hint = f"only {ENVIRON_PREFIX}... can, so that no secret gets into a plan"
        problems.add_reference(spot, f"${{{name}}} cannot be read", hint)
        return False, None
    known: Mapping[str, Any] | None = getattr(scope, source)
    if known is None:
        hint = "params belong to a set with appliesTo"
        problems.add_reference(spot, f"${{{name}}} stands where there are no parameters", hint)
        return False, None
    if _follows(scope.places.get(f"{source}.{key}" if key in known else source), spot, problems):
        return False, None
    if key not in known:
        problems.add_reference(spot, f"${{{name}}} is not defined", _where_to_define(source, key, known))
        return False, None
    scope.used.add(f"{source}.{key}")
    scope.note(spot, source, key, known[key])
    return True, _value(known[key]) if source == "env" else known[key]


def _look_up_each(key: str | None, spot: Spot, scope: Scope, problems: Problems) -> tuple[bool, Any]:
    if not scope.in_each:
        reference = f"${{each.{key}}}" if key else "${each}"
        problems.add_reference(spot, f"{reference} stands outside of a forEach", 'write "$${" for a literal "${"')
        return False, None
    if _follows(scope.places["each"], spot, problems):
        return False, None
    if key is None:
        return True, scope.each
    if not isinstance(scope.each, Map):
        problems.add_reference(spot, f"${{each.{key}}}: the items of this forEach are no mappings", "write ${each}")
        return False, None
    if key not in scope.each:
        hint = did_you_mean(key, scope.each)
        problems.add_reference(spot, f"${{each.{key}}} is not in every item of this forEach", hint)
        return False, None
    follows = _follows(scope.each.value_spot(key), spot, problems)
    return not follows, scope.each[key]


def _follows(place: Spot | None, spot: Spot, problems: Problems) -> bool:
    """Whether something was reported of what stands at ``place``: what comes of it at ``spot`` is a consequence."""
    follows = place is not None and problems.is_unsound(place)
    if follows:
        problems.unresolved.add(spot)
    return follows


def _how_to_refer(name: str) -> str:
    hint = 'there are ${var.x}, ${param.x}, ${each.x} and ${env.RECONCILER_VAR_x}; write "$${" for a literal "${"'
    if name.isupper():
        return f"of the process environment only ${{env.{ENVIRON_PREFIX}...}} can be read"
    return f"did you mean ${{var.{name}}}?" if re.fullmatch(r"[A-Za-z_]\w*", name) else hint


def _where_to_define(source: str, key: str, known: Mapping[str, Any]) -> str:
    if close := did_you_mean(key, known):
        return close
    if source == "var":
        return f"give --var {key}=..., {ENVIRON_PREFIX}{key}, or vars in the Environment"
    if source == "param":
        return "it is not among the params" if known else f"give the set params: {{{key}: ...}}"
    return "set it in the process environment"
