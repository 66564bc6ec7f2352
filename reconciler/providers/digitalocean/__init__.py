"""DigitalOcean GenAI evaluations: workspaces, datasets, test cases and runs.

REST at https://api.digitalocean.com/v2/gen-ai, bearer token with the scopes genai:read, create, update and delete
(digitalocean/openapi @7c1300c, 2026-08).
"""

from __future__ import annotations

from reconciler.model.kind import Vendor
from reconciler.providers.digitalocean.evaluation_dataset import EVALUATION_DATASET
from reconciler.providers.digitalocean.evaluation_run import EVALUATION_RUN, retrieve
from reconciler.providers.digitalocean.evaluation_test_case import EVALUATION_TEST_CASE
from reconciler.providers.digitalocean.lookups import AGENT, METRIC
from reconciler.providers.digitalocean.workspace import WORKSPACE

DIGITALOCEAN = Vendor(
    name="digitalocean",
    api_version="digitalocean/v1",
    kinds=(METRIC, EVALUATION_DATASET, WORKSPACE, AGENT, EVALUATION_TEST_CASE, EVALUATION_RUN),
    base_url="https://api.digitalocean.com",
    key_variable="DIGITALOCEAN_TOKEN",
    url_variable="DIGITALOCEAN_BASE_URL",
    prefix="DIGITALOCEAN_",
    show_run=retrieve,
)
