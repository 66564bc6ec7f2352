"""What is known of the vendor's test subtypes.  A table, open on purpose: unknown subtypes pass with a warning.

Source: openlayer-python 0.36.0 types/projects/test_create_params.py (names), the vendor's templates, docs and agent
skills (insights, parameters); 2026-11.  Where these are silent the entry is None or empty.
"""

from __future__ import annotations

from msgspec import Struct


class Subtype(Struct, frozen=True):
    """``type`` and ``insight`` as documented, None if not; ``required`` names parameters it cannot do without."""

    type: str | None
    insight: str | None
    required: tuple[str, ...] = ()


SUBTYPES: dict[str, Subtype] = {
    "anomalousColumnCount": Subtype(None, None, ()),
    "characterLength": Subtype("integrity", "characterLength", ("column_name",)),
    "classImbalanceRatio": Subtype("integrity", "classImbalance", ()),
    "expectColumnAToBeInColumnB": Subtype(None, "expectColumnAToBeInColumnB", ()),
    "columnAverage": Subtype("integrity", "columnAverage", ("column_name",)),
    "columnDrift": Subtype("consistency", "columnDrift", ()),
    "columnStatistic": Subtype(None, None, ()),
    "columnValuesMatch": Subtype("consistency", "columnValuesMatch", ("reference_column_name", "target_column_name")),
    "conflictingLabelRowCount": Subtype(None, "conflictingLabelRowCount", ()),
    "containsPii": Subtype("integrity", "containsPii", ("pii_type", "column_name")),
    "containsValidUrl": Subtype(None, "containsValidUrl", ()),
    "correlatedFeatureCount": Subtype(None, "correlatedFeatures", ()),
    "customMetricThreshold": Subtype("performance", "customMetric", ("key",)),
    "duplicateRowCount": Subtype("integrity", "duplicateRowCount", ()),
    "emptyFeature": Subtype(None, None, ()),
    "emptyFeatureCount": Subtype(None, "emptyFeatures", ()),
    "driftedFeatureCount": Subtype("consistency", "featureDrift", ()),
    "featureMissingValues": Subtype(None, None, ()),
    "featureValueValidation": Subtype("integrity", "featureProfile", ("name",)),
    "greatExpectations": Subtype(None, "greatExpectations", ()),
    "groupByColumnStatsCheck": Subtype(None, "groupByColumnStatsCheck", ()),
    "illFormedRowCount": Subtype(None, "illFormedRowCount", ()),
    "isCode": Subtype(None, "isCode", ()),
    "isJson": Subtype("integrity", "isJson", ("column_name",)),
    "llmRubricThresholdV2": Subtype("performance", "llmRubricV2", ("criteria_list",)),
    "labelDrift": Subtype("consistency", "labelDrift", ()),
    "metricThreshold": Subtype("performance", "metrics", ()),
    "newCategoryCount": Subtype(None, "newCategories", ()),
    "newLabelCount": Subtype("consistency", "newLabels", ()),
    "nullRowCount": Subtype("integrity", "nullRowCount", ()),
    "rowCount": Subtype("integrity", "metrics", ()),
    "ppScoreValueValidation": Subtype(None, "ppScore", ()),
    "quasiConstantFeature": Subtype(None, None, ()),
    "quasiConstantFeatureCount": Subtype(None, "quasiConstantFeatures", ()),
    "sqlQuery": Subtype("integrity", "sqlQuery", ("query",)),
    "dtypeValidation": Subtype(None, None, ()),
    "sentenceLength": Subtype("integrity", "sentenceLength", ("column_name",)),
    "sizeRatio": Subtype(None, "sizeRatio", ()),
    "specialCharactersRatio": Subtype(None, "specialCharacters", ()),
    "stringValidation": Subtype(None, "stringValidation", ()),
    "trainValLeakageRowCount": Subtype(None, "trainValLeakageRowCount", ()),
    "hasPromptInjectionCount": Subtype("integrity", "hasPromptInjectionCount", ()),
    "llmBiasThreshold": Subtype(None, "llmBias", ()),
}
