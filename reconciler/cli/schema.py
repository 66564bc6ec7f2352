"""``reconciler schema``: what editors check manifests with."""

from __future__ import annotations

from collections.abc import Mapping

import click

from reconciler.cli.options import FOLDER, example


@click.command("schema", epilog=example("reconciler schema Project > project.json\nreconciler schema --write schemas"))
@click.argument("kind", required=False)
@click.option("--write", type=FOLDER, metavar="DIR", help="Write it, or without KIND all of them, into DIR.")
def command(kind: str | None, write: str | None) -> None:
    """Print the JSON schema (draft 7) of documents of KIND (Project, or openlayer.Project); without it, name them."""
    from reconciler.manifests.schemas import schema_names, schema_text, schemas
    from reconciler.providers import VENDORS

    names = schema_names(VENDORS)
    wanted = list(names.values()) if kind is None else [_file_of(kind, names)]
    if kind is None and write is None:
        click.echo("\n".join(names))
        return
    known = schemas(VENDORS)
    texts = {file: schema_text(known[file]) for file in wanted}
    if write is not None:
        _write(texts, write)
    else:
        click.echo("".join(texts.values()).rstrip("\n"))


def _file_of(kind: str, names: Mapping[str, str]) -> str:
    """The file name of a kind's schema; the kind is called as in a manifest, as in a plan, or as that file."""
    from reconciler.errors import UsageInvalid

    wanted = kind.lower().removesuffix(".json").replace("/", ".")
    calls = {name: {name.lower(), name.lower().partition(".")[2], names[name].removesuffix(".json")} for name in names}
    found = [name for name in names if wanted in calls[name]]
    if len(found) != 1:
        what = f"more than one kind is called {kind}" if found else f"there is no schema of {kind}"
        raise UsageInvalid(what, hint=f"there are: {', '.join(found or names)}")
    return names[found[0]]


def _write(texts: Mapping[str, str], folder: str) -> None:
    from pathlib import Path

    from reconciler.errors import SettingsInvalid

    for name, text in sorted(texts.items()):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise SettingsInvalid(f"--write {folder}: {why}", hint="name a folder that can be written") from error
        click.echo(f"+ {Path(folder) / name}")
