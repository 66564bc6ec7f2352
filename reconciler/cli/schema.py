"""``reconciler schema``: what editors check manifests with."""

from __future__ import annotations

import click

from reconciler.cli.options import FOLDER, example


@click.command("schema", epilog=example("reconciler schema Project > project.json\nreconciler schema --write schemas"))
@click.argument("kind", required=False)
@click.option("--write", type=FOLDER, metavar="DIR", help="Write all schemas into DIR.")
def command(kind: str | None, write: str | None) -> None:
    """Print the JSON schema (draft 7) of documents of KIND; without KIND, name what there is."""
    from pathlib import Path

    from reconciler.errors import SettingsInvalid, UsageInvalid
    from reconciler.manifests.schemas import schema_text, schemas
    from reconciler.providers import VENDORS

    known = schemas(VENDORS)
    if write is not None:
        for name, schema in known.items():
            try:
                Path(write).mkdir(parents=True, exist_ok=True)
                (Path(write) / name).write_text(schema_text(schema), encoding="utf-8")
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise SettingsInvalid(f"--write {write}: {why}", hint="name a folder that can be written") from error
            click.echo(f"+ {Path(write) / name}")
        return
    if kind is None:
        click.echo("\n".join(known))
        return
    wanted = kind.lower().removesuffix(".json").replace("/", ".")
    found = [name for name in known if wanted in (name.removesuffix(".json"), name.split(".")[-2])]
    if len(found) != 1:
        raise UsageInvalid(f"there is no schema of {kind}", hint=f"there are: {', '.join(known)}")
    click.echo(schema_text(known[found[0]]).rstrip("\n"))
