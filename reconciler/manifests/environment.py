"""What an ``Environment`` says: variables, where the key is found, the safety policy and narrow overrides.  Frozen.

It can choose *which environment variable* holds a key, by a name that starts with the vendor's prefix, but neither
the key itself nor the address of the platform: manifests come through pull requests.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from reconciler.manifests.documents import LOCAL
from reconciler.model.environments import is_environment_name
from reconciler.model.places import parse_place
from reconciler.model.risks import Deniable, Risk
from reconciler.model.spec import Part
from reconciler.model.values import Duration


def _variable_name(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text):  # it may be a key: it is not shown
        raise ValueError("not the name of an environment variable")
    return text


def _file_name(text: str) -> str:
    if not is_environment_name(text):
        raise ValueError("may hold letters, digits, dots, dashes and underscores only: files are named after it")
    return text


def _state_url(text: str | None) -> str | None:
    if text is not None:
        parse_place(text)
    return text


class ApiKey(Part):
    """Where the key is found.  Never the key."""

    from_env: Annotated[
        str,
        AfterValidator(_variable_name),
        Field(
            description="The environment variable that holds the key; starts with the vendor's prefix.",
            examples=["OPENLAYER_API_KEY_STAGING"],
        ),
    ]


class StateLocation(Part):
    """Where the state is kept."""

    url: Annotated[
        str | None,
        AfterValidator(_state_url),
        Field(
            description="A folder, relative to the working directory (.reconciler by default), or an address that "
            "begins with s3://, gs://, az://, postgresql:// or https://. Holds no credential.",
            examples=["s3://acme-evaluations/state"],
        ),
    ] = None


class Policy(Part):
    """What must be acknowledged by name and number before it is applied, and what must not happen at all."""

    require: Annotated[
        tuple[Risk, ...],
        Field(strict=False, description="Risks that need --ack even where they would be applied without."),
    ] = ()
    deny: Annotated[
        tuple[Deniable, ...],
        Field(strict=False, description="What no change may mean here; nothing on the command line allows it."),
    ] = ()


class Override(Part):
    """A narrow change to the resources it matches.  One that matches nothing is an error."""

    match: Annotated[dict[str, str], Field(min_length=1, description="Globs by which resources are chosen.")]
    set: Annotated[dict[str, Any], Field(min_length=1, description="Fields and their values here.")]


class Rows(Part):
    """Rows for the emulator, so that an evaluation there means something."""

    # Once loaded, ``file`` is relative to the root of the run.

    project: Annotated[str, Field(description="Name of the project.")]
    pipeline: Annotated[str, Field(description="Name of the pipeline that they are streamed to.")]
    file: Annotated[str, Field(description="A JSON Lines or CSV file, relative to this manifest.")]
    config: Annotated[dict[str, Any], Field(description="Which column means what, as in the vendor's data stream.")] = (
        Field(default_factory=dict)
    )
    spread: Annotated[
        Duration,
        Field(description="Length of the windows to fill: the current one and the one before it hold all rows."),
    ] = "24h"


class Emulator(Part):
    """What the embedded emulator is fed with."""

    rows: Annotated[tuple[Rows, ...], Field(strict=False, description="What is streamed, and where to.")] = ()


class Environment(Part):
    """One target of a run: its variables, where its key is found, its safety policy, and what differs there."""

    name: Annotated[str, AfterValidator(_file_name), Field(description="What --env takes.")]
    vars: Annotated[dict[str, Any], Field(description="Values of ${var.x} in this environment.")] = Field(
        default_factory=dict
    )
    api_key: Annotated[ApiKey | None, Field(description="Which environment variable holds the key.")] = None
    state: Annotated[StateLocation, Field(description="The place that remembers what is ours.")] = StateLocation()
    ownership: Annotated[
        Literal["marker", "state"],
        Field(description="marker: a short mark at the end of descriptions; state: in the state only."),
    ] = "marker"
    policy: Annotated[Policy, Field(description="What needs an acknowledgement, and what must not happen.")] = Policy()
    overrides: Annotated[tuple[Override, ...], Field(strict=False, description="What differs here.")] = ()
    emulator: Annotated[Emulator, Field(description="Only in the environment named local.")] = Emulator()


def local_environment() -> Environment:
    """The environment ``local`` as it is when nobody declares it."""
    return Environment(name=LOCAL)
