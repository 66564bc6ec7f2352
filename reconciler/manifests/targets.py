"""Turn Environment documents into the environment that was chosen, its variables and its overrides.

Touches: disk, looking whether files of rows exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from pydantic import ValidationError

from reconciler.errors import UsageInvalid
from reconciler.manifests.documents import ENVIRONMENT, LOCAL, Document
from reconciler.manifests.expansion import without
from reconciler.manifests.files import beside
from reconciler.manifests.items import checked_metadata
from reconciler.manifests.overrides import Overrides
from reconciler.manifests.positions import Map, Seq, unpack
from reconciler.manifests.problems import Problems, explain, one_of
from reconciler.manifests.variables import Scope, origins, resolve
from reconciler.model.kind import AnyKind, Vendor
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import Address
from reconciler.model.spec import fields_of

if TYPE_CHECKING:
    from reconciler.manifests.environment import Environment


class Target(Struct, frozen=True):
    """What an environment brings.  ``rows`` are the emulator's, as written, for checking whom they belong to."""

    environment: Environment | None
    scope: Scope
    overrides: Overrides
    rows: Seq | None = None


class Targets(Struct):
    """The environments of a set of manifests."""

    vendors: Sequence[Vendor]
    problems: Problems
    root: Path
    declared: dict[str, Document] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)

    @property
    def kinds(self) -> tuple[AnyKind, ...]:
        """All kinds of all vendors."""
        return tuple(kind for vendor in self.vendors for kind in vendor.kinds)

    def declare(self, documents: Sequence[Document]) -> None:
        """Note the environments; two of one name are reported."""
        for document in documents:
            if document.kind is not None or document.word != ENVIRONMENT:
                continue
            name = document.metadata.get("name")
            if not isinstance(name, str):
                self._check(document, _data(document))
            elif name in self.declared:
                self.repeated.add(name)
                there = self.problems.place(self.declared[name].data.spot)
                self.problems.add(document.metadata.value_spot("name"), f'"{name}" is declared twice', f"see {there}")
            else:
                self.declared[name] = document

    def choose(self, name: str | None, scope: Scope, *, partial: bool) -> Target:
        """The environment called ``name``, after checking them all.  ``scope`` has what the command line gives.

        Raises UsageInvalid when there is none of that name, unless it may be in a file that could not be read.
        """
        self.problems.variables.update(origins(scope))
        for each, document in self.declared.items():
            if each != name:
                self._check(document, _data(document))
        if name in self.declared:
            return self._enter(self.declared[str(name)], scope)
        nothing = Target(_built_in() if name == LOCAL else None, scope, self._overrides(None))
        if name in (None, LOCAL) or partial:
            return nothing
        known = sorted({*self.declared, LOCAL})
        hint = did_you_mean(str(name), known) or f"there is {one_of(known)}"
        raise UsageInvalid(f'there is no environment "{name}"', hint=hint)

    def _overrides(self, written: Any) -> Overrides:
        return Overrides(written, self.kinds, self.problems)

    def _enter(self, document: Document, scope: Scope) -> Target:
        """The chosen environment.  Its vars may refer to the command line's variables, all else to its vars too."""
        written = _data(document)
        values = resolve(written.get("vars"), written.value_spot("vars"), scope, self.problems)
        inner = scope.below(values) if isinstance(values, Map) else scope
        if isinstance(values, Map):
            places = {each: self.problems.place(values.value_spot(each)) for each in values}
            self.problems.variables.update((each, at) for each, at in places.items() if each not in scope.given)
        rest = resolve(without(written, "vars"), written.spot, inner, self.problems)
        entries = rest.entries()
        if "vars" in written:
            entries["vars"] = (values, written.key_spot("vars"), written.value_spot("vars"))
        data = Map.of(written.spot, entries)
        environment = self._check(document, data, chosen=True)
        emulator = data.get("emulator")
        rows = emulator.get("rows") if isinstance(emulator, Map) else None
        overrides = self._overrides(data.get("overrides"))
        return Target(environment, inner, overrides, rows if isinstance(rows, Seq) else None)

    # ----------------------------------------------------------------------------------------- checks

    def _check(self, document: Document, data: Map, *, chosen: bool = False) -> Environment | None:
        """The environment in ``data``; None, and reports, when it is not valid.

        References in an environment that was not chosen stay what they are: its variables may not be given today.
        """
        from reconciler.manifests.environment import Emulator, Environment

        checked_metadata(document, ("name",), fields_of(Environment), Scope(), self.problems)
        if "name" in document.spec:
            self.problems.add(document.spec.key_spot("name"), "it belongs in metadata", key=True)
        self._overrides(data.get("overrides"))
        self._check_key(data)
        rows = self._rows(data, unpack(document.data.spot)[0])
        if "emulator" in data and data.get("name") != LOCAL:
            self.problems.add(data.key_spot("emulator"), f'only the environment "{LOCAL}" has an emulator', key=True)
        try:
            environment = Environment.model_validate(data)
        except ValidationError as error:
            explain(error, data, ENVIRONMENT, fields_of(Environment), self.problems,
                    open_references=not chosen, said=("name",))  # fmt: skip
            return None
        found = [
            row.model_copy(update={"file": name}) for row, name in zip(environment.emulator.rows, rows, strict=True)
        ]
        return environment.model_copy(update={"emulator": Emulator(rows=tuple(found))}) if found else environment

    def _check_key(self, data: Map) -> None:
        reference = data.get("apiKey")
        if reference is not None and not isinstance(reference, Map):
            spot = data.value_spot("apiKey")
            self.problems.add(spot, "credentials never stand in a manifest", "write {fromEnv: NAME_OF_A_VARIABLE}")
            self.problems.silent.add(spot)
        name = reference.get("fromEnv") if isinstance(reference, Map) else None
        prefixes = [vendor.prefix for vendor in self.vendors]
        if isinstance(reference, Map) and isinstance(name, str) and not name.startswith(tuple(prefixes)):
            spot = reference.value_spot("fromEnv")  # what stands there may be a key: it is not shown
            self.problems.add(
                spot, f"does not start with {one_of(prefixes)}", "no other variable is sent to a platform"
            )
            self.problems.silent.add(spot)

    def _rows(self, data: Map, number: int) -> list[str]:
        """The files of the emulator's rows, named from the root; they must be inside of it, or beside the manifest."""
        emulator = data.get("emulator")
        rows = emulator.get("rows") if isinstance(emulator, Map) else None
        names = []
        for row in rows if isinstance(rows, Seq) else ():
            file = row.get("file") if isinstance(row, Map) else None
            if not isinstance(file, str):
                names.append("")
                continue
            try:
                names.append(beside(file, self.problems.files[number].file, self.root).name)
            except ValueError as error:
                self.problems.add(row.value_spot("file"), *error.args)
                names.append("")
        return names

    def check_rows(self, target: Target, addresses: set[Address]) -> None:
        """Report rows for a place that nobody declares, or whose vendor has none to stream to."""
        kinds = (kind for vendor in self.vendors if vendor.sample for kind in vendor.kinds)
        places = {kind.measuring.place for kind in kinds if kind.measuring}
        known = {address.path for address in addresses if address.kind in places}
        for written in target.rows or ():
            path = tuple(str(written.get(key)) for key in ("project", "pipeline")) if isinstance(written, Map) else ()
            if path and path not in known:
                near = did_you_mean("/".join(path), ["/".join(each) for each in known if len(each) == len(path)])
                self.problems.add(written.spot, f'"{"/".join(path)}" is not declared', near)


def _built_in() -> Environment:
    from reconciler.manifests.environment import local_environment

    return local_environment()


def _data(document: Document) -> Map:
    """Name and spec in one mapping, as the model wants it."""
    entries = without(document.spec, "name").entries()
    named = {key: entry for key, entry in document.metadata.entries().items() if key == "name"}
    return Map.of(document.spec.spot, {**named, **entries})
