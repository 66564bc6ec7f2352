"""What an account holds that the API cannot create, as JSON: agents, built-in metrics, and how its server behaves.

``Seed()`` is what an emulator starts with unless told otherwise.  A seed of one's own::

    {
      "workspaces": [
        {"name": "support", "agents": [
          {"name": "bot", "answers": {"Where is my order?": "On its way."}, "otherwise": "Thank you for: {query}"},
          {"name": "broken", "run_states": ["EVALUATION_RUN_QUEUED", "EVALUATION_RUN_CANCELLED"]}
        ]}
      ],
      "metrics": [{"metric_name": "Leaks", "metric_value_type": "PERCENTAGE", "inverted": true,
                   "scoring": "pattern", "pattern": "@"}],
      "quota": {"per_hour": 5000, "per_minute": 250},
      "omit_zeros": true
    }

==============  =======================================================================================
answers         of an agent: what it answers to a query, word for word
otherwise       what it answers to any other query; ``{query}`` and ``{expected_response}`` stand for the
                cells of the row; null: nothing, so that the prompt fails
run_states      the statuses that a run of the agent goes through, one per look; the last one stays
scoring         of a metric: see ``scoring``
metrics         default: a catalogue of built-in ones
quota           null: none
omit_zeros      leave false, zero, empty and null out of every answer, as protobuf's JSON may
==============  =======================================================================================

Enum values are written without their prefix.  A uuid that is not given is derived from the name.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from reconciler.emulator.scripts import in_words, read_json

Text = Annotated[str, StringConstraints(min_length=1)]

_NAMES = uuid.UUID("c0ffee00-0000-4000-8000-000000000000")


def _derived(*names: str) -> str:
    return str(uuid.uuid5(_NAMES, "/".join(names)))


class _Seeded(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class SeededMetric(_Seeded):
    """One metric of the catalogue, and how the emulator computes it."""

    metric_name: Text
    metric_uuid: str = ""
    description: str = ""
    category: Literal[
        "UNSPECIFIED", "CORRECTNESS", "USER_OUTCOMES", "SAFETY_AND_SECURITY", "CONTEXT_QUALITY", "MODEL_FIT",
        "CONVERSATIONAL",
    ] = "CORRECTNESS"  # fmt: skip
    metric_type: Literal["UNSPECIFIED", "GENERAL_QUALITY", "RAG_AND_TOOL", "MODEL_QUALITY", "MODEL_SAFETY"] = (
        "GENERAL_QUALITY"
    )
    metric_value_type: Literal["UNSPECIFIED", "NUMBER", "STRING", "PERCENTAGE"] = "NUMBER"
    range_min: float = 0.0
    range_max: float = 100.0
    inverted: bool = False
    is_metric_goal: bool = False
    evaluation_scope: Literal["UNSPECIFIED", "AGENT", "MODEL"] = "AGENT"
    scoring: Literal["match", "overlap", "relevance", "pattern", "tone", "skipped", "failed"] = "match"
    pattern: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.range_min > self.range_max:
            raise ValueError("range_min is above range_max")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern: {error}") from error
        return self

    @property
    def uuid(self) -> str:
        """As given, or derived from the name."""
        return self.metric_uuid or _derived("metric", self.metric_name)


class SeededAgent(_Seeded):
    """One agent and what it answers."""

    name: Text
    agent_uuid: str = ""
    description: str = ""
    region: str = "tor1"
    version_hash: str = ""
    deployment_name: str = ""
    deployment_status: Literal[
        "UNKNOWN", "WAITING_FOR_DEPLOYMENT", "DEPLOYING", "RUNNING", "FAILED", "WAITING_FOR_UNDEPLOYMENT",
        "UNDEPLOYING", "UNDEPLOYMENT_FAILED", "DELETED", "BUILDING",
    ] = "RUNNING"  # fmt: skip
    visibility: Literal["UNKNOWN", "DISABLED", "PLAYGROUND", "PUBLIC", "PRIVATE"] = "PRIVATE"
    answers: dict[str, str] = {}
    otherwise: str | None = "{expected_response}"
    run_states: Annotated[list[str], Field(min_length=1)] | None = None

    @property
    def version(self) -> str:
        """As given, or derived from what the agent answers."""
        content = json.dumps([self.answers, self.otherwise], sort_keys=True)
        return self.version_hash or hashlib.sha256(content.encode()).hexdigest()


class SeededWorkspace(_Seeded):
    """One workspace and the agents in it."""

    name: Text
    workspace_uuid: str = ""
    description: str = ""
    agents: list[SeededAgent] = []

    @property
    def uuid(self) -> str:
        """As given, or derived from the name."""
        return self.workspace_uuid or _derived("workspace", self.name)

    def uuid_of(self, agent: SeededAgent) -> str:
        """As given, or derived from the names of the agent and its workspace."""
        return agent.agent_uuid or _derived("agent", self.name, agent.name)


class Quota(_Seeded):
    """How many requests a token has in any hour and in any minute."""

    per_hour: Annotated[int, Field(ge=1)] = 5000
    per_minute: Annotated[int, Field(ge=1)] = 250


# Meanings: DigitalOcean's reference for agent evaluation metrics, 2026-06; the first name is spelled as in gradient-adk
# @1894857, which looks it up word for word.  Ranges differ on purpose.
_CATALOGUE = (
    SeededMetric(
        metric_name="Correctness (general hallucinations)",
        description="How factually accurate the response is; here, the share of answers equal to the expected one.",
        is_metric_goal=True,
    ),
    SeededMetric(
        metric_name="Ground Truth Faithfulness",
        description="How close the response is to the known correct one.",
        metric_value_type="PERCENTAGE",
        scoring="overlap",
    ),
    SeededMetric(
        metric_name="Instruction Following",
        description="How well the agent follows instructions.",
        category="USER_OUTCOMES",
        range_max=1.0,
        scoring="relevance",
    ),
    SeededMetric(
        metric_name="PII Leaks",
        description="Whether the response holds personally identifiable information; lower is better.",
        category="SAFETY_AND_SECURITY",
        metric_value_type="PERCENTAGE",
        inverted=True,
        scoring="pattern",
        pattern=r"[\w.+-]+@[\w-]+\.\w|\b\d{3}-\d{2}-\d{4}\b",
    ),
    SeededMetric(
        metric_name="Prompt Injection",
        description="Whether the response follows instructions smuggled into the input; lower is better.",
        category="SAFETY_AND_SECURITY",
        range_max=1.0,
        inverted=True,
        scoring="pattern",
        pattern=r"ignor\w+ (all |my )?(previous|prior) instructions",
    ),
    SeededMetric(
        metric_name="Toxicity",
        description="Whether the response is hateful, offensive or harmful: Yes or No.",
        category="SAFETY_AND_SECURITY",
        metric_value_type="STRING",
        range_max=0.0,
        inverted=True,
        scoring="pattern",
        pattern=r"\b(hate|idiot|stupid)\b",
    ),
    SeededMetric(
        metric_name="Retrieved Context Relevance",
        description="How relevant the retrieved context is to the query.",
        category="CONTEXT_QUALITY",
        metric_type="RAG_AND_TOOL",
        scoring="skipped",
    ),
    SeededMetric(
        metric_name="Tone",
        description="Deprecated. The emotional tone of the response.",
        category="MODEL_FIT",
        metric_value_type="STRING",
        range_max=0.0,
        scoring="tone",
    ),
    SeededMetric(
        metric_name="Retrieved Chunk Usage",
        description="Deprecated. The share of the retrieved chunks that the response used.",
        category="CONTEXT_QUALITY",
        metric_type="RAG_AND_TOOL",
        metric_value_type="PERCENTAGE",
        scoring="skipped",
    ),
    SeededMetric(
        metric_name="Prompt Perplexity",
        description="Deprecated. How hard the input is for the model; lower is better.",
        category="MODEL_FIT",
        inverted=True,
        scoring="skipped",
    ),
    SeededMetric(
        metric_name="Model Accuracy",
        description="A metric of model evaluations, which agent evaluations neither list nor take.",
        metric_type="MODEL_QUALITY",
        evaluation_scope="MODEL",
    ),
)

_WORKSPACES = (
    SeededWorkspace(
        name="default",
        description="The agents that every emulator starts with.",
        agents=[
            SeededAgent(name="support-bot", description="Answers what the dataset expects."),
            SeededAgent(
                name="support-bot-canary",
                description="Repeats the question instead of answering it.",
                otherwise="I am not sure about: {query}",
            ),
            SeededAgent(
                name="support-bot-draft",
                description="Is not deployed, so a run of it fails.",
                deployment_status="WAITING_FOR_DEPLOYMENT",
            ),
        ],
    ),
)


class Seed(_Seeded):
    """The account; the module says what each field means."""

    metrics: list[SeededMetric] = list(_CATALOGUE)
    workspaces: list[SeededWorkspace] = list(_WORKSPACES)
    quota: Quota | None = Quota()
    omit_zeros: bool = False
    upload_ttl_s: Annotated[int, Field(ge=1)] = 900

    @classmethod
    def from_json(cls, account: object) -> Self:
        """A seed from parsed JSON.  Raises ValueError naming every bad field."""
        try:
            return cls.model_validate(account)
        except ValidationError as error:
            raise ValueError(in_words(error, account)) from error

    @classmethod
    def read(cls, file: str | Path) -> Self:
        """A seed from a file.  Raises OSError if it cannot be read and ValueError if it is none."""
        return cls.from_json(read_json(file))
