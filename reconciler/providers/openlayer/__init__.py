"""Openlayer: projects, inference pipelines and tests.

REST at https://api.openlayer.com/v1, bearer key of one workspace (docs.openlayer.com, 2026-11).
"""

from __future__ import annotations

from reconciler.model.kind import Vendor
from reconciler.providers.openlayer.inference_pipeline import INFERENCE_PIPELINE, stream_rows
from reconciler.providers.openlayer.project import PROJECT
from reconciler.providers.openlayer.test import TEST

OPENLAYER = Vendor(
    name="openlayer",
    api_version="openlayer/v1",
    kinds=(PROJECT, INFERENCE_PIPELINE, TEST),
    base_url="https://api.openlayer.com/v1",
    key_variable="OPENLAYER_API_KEY",
    url_variable="OPENLAYER_BASE_URL",
    prefix="OPENLAYER_",
    dialect_variable="OPENLAYER_DIALECT",
    dialects=("", "seed"),
    sample=stream_rows,
)
