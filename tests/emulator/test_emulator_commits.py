"""A pushed commit has the development tests judged over the rows of its bundle, in the background."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc


def bundle(rows: str, config: str = "") -> bytes:
    """A tar.gz as the vendor's first client made it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in {"validation/dataset.csv": rows, "validation/dataset_config.yaml": config}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def pushed(api: Api, project: Doc, content: bytes) -> Doc:
    place = api.ok("POST", "/storage/presigned-url", objectName="bundle.tar.gz")
    path = httpx.URL(place["url"]).path.removeprefix("/v1")
    assert api("PUT", path, content).is_success
    body = {"commit": {"message": "m"}, "storageUri": place["storageUri"]}
    return dict(api.ok("POST", f"/projects/{project['id']}/versions", body))


def test_development_tests_are_judged_over_the_validation_rows(api: Api, threshold: Callable[..., Doc]) -> None:
    """Columns are called what the bundle's config says; monitoring tests take no part."""
    project = api.project()
    api.test(project, name="monitoring", thresholds=[threshold(value=5)])
    for name, value in {"two": 2, "three": 3}.items():
        api.test(project, name=name, thresholds=[threshold(value=value)], usesProductionData=False)
    commit = pushed(api, project, bundle("answer\nyes\nno\n", "outputColumnName: answer"))
    path = f"/versions/{commit['id']}"
    assert [each["status"] for each in api.ok("GET", f"{path}/results")["items"]] == ["running", "running"]
    assert api.ok("GET", path)["status"] == "completed"
    results = {each["goal"]["name"]: each["status"] for each in api.ok("GET", f"{path}/results")["items"]}
    assert results == {"two": "passing", "three": "failing"}
    assert (api.ok("GET", path)["passingGoalCount"], api.ok("GET", path)["failingGoalCount"]) == (1, 1)


def test_a_bundle_that_can_not_be_read_is_skipped(api: Api) -> None:
    project = api.project()
    api.test(project, usesProductionData=False)
    commit = pushed(api, project, b"no archive")
    for _ in range(2):
        api.ok("GET", f"/versions/{commit['id']}")
    (result,) = api.ok("GET", f"/versions/{commit['id']}/results")["items"]
    assert result["status"] == "skipped"
