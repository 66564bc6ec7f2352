"""A dataset is uploaded to another place, registered once, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]
ROWS = b"query,expected_response\nWho?,Me\n"


def upload_url(account: Account) -> Doc:
    body = {"files": [{"file_name": "rows.csv", "file_size": len(ROWS)}]}
    (upload,) = account.ok("POST", "/evaluation_datasets/file_upload_presigned_urls", body)["uploads"]
    return dict(upload)


def names(account: Account, **query: object) -> list[str]:
    return [each["dataset_name"] for each in account.ok("GET", "/evaluation_datasets", **query)["evaluation_datasets"]]


# --- the upload ------------------------------------------------------------------------------------------------


def test_an_upload_url_is_not_of_the_api_and_expires_after_a_quarter_of_an_hour(account: Account) -> None:
    upload = upload_url(account)
    assert upload["presigned_url"].startswith(f"http://emulator/spaces/{upload['object_key']}?")
    assert (upload["original_file_name"], upload["expires_at"]) == ("rows.csv", "2027-01-15T08:15:00Z")


def test_an_upload_with_a_bearer_is_refused(account: Account) -> None:
    url = upload_url(account)["presigned_url"]
    answer = account.send("PUT", url, content=ROWS, headers={"Authorization": "Bearer any-key"})
    assert (answer.status_code, "Only one auth mechanism allowed" in answer.text) == (400, True)
    assert account.send("PUT", url, content=ROWS).status_code == 200


def test_an_expired_url_is_refused(make_account: Make) -> None:
    account = make_account(seed={"upload_ttl_s": 60})
    url = upload_url(account)["presigned_url"]
    account.now += 59
    assert account.send("PUT", url, content=ROWS).status_code == 200
    account.now += 1
    answer = account.send("PUT", url, content=ROWS)
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "change", [("rows.csv", "other.csv"), ("Signature=", "Signature=0"), ("At=", "At=9"), ("?", "#")]
)
def test_a_url_that_was_changed_is_refused(account: Account, change: tuple[str, str]) -> None:
    url = upload_url(account)["presigned_url"].replace(*change)
    answer = account.send("PUT", url, content=ROWS)
    assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)


def test_an_upload_url_does_not_read(account: Account) -> None:
    assert account.send("GET", upload_url(account)["presigned_url"]).status_code == 403


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ({"file_name": "rows.txt", "file_size": 1}, "files.0.file_name: Is not a .csv file."),
        ({"file_name": "rows.csv"}, "files.0.file_size: Missing data for required field."),
        ({"file_name": "rows.csv", "file_size": "big"}, "files.0.file_size: Input should be a valid integer"),
        ({"file_name": "rows.csv", "file_size": 0}, "files.0.file_size: Input should be greater than or equal to 1"),
        ({"file_name": "rows.csv", "file_size": 10**9 + 1}, "files.0.file_size: Input should be less than or equal"),
        ({"file_name": "rows.csv", "file_size": 1, "type": "x"}, "files.0.type: Unknown field."),
    ],
)
def test_a_wrong_file_is_422(account: Account, file: Doc, problem: str) -> None:
    path = "/evaluation_datasets/file_upload_presigned_urls"
    status, _, message = account.refused("POST", path, {"files": [file]})
    assert (status, message[: len(problem)]) == (422, problem)


def test_a_file_size_may_be_text_as_64_bit_numbers_are_in_protobuf(account: Account) -> None:
    body = {"files": [{"file_name": "a.csv", "file_size": "12"}, {"file_name": "b.csv", "file_size": 12}]}
    uploads = account.ok("POST", "/evaluation_datasets/file_upload_presigned_urls", body)["uploads"]
    assert [upload["original_file_name"] for upload in uploads] == ["a.csv", "b.csv"]
    assert uploads[0]["object_key"] != uploads[1]["object_key"]


# --- registering -----------------------------------------------------------------------------------------------


def test_a_dataset_is_counted_and_described(account: Account) -> None:
    body = account.dataset_body(ROWS, name="support")
    body["file_upload_dataset"]["size_in_bytes"] = str(len(ROWS))
    created = account.ok("POST", "/evaluation_datasets", body)
    assert set(created) == {"evaluation_dataset_uuid"}
    (shown,) = account.ok("GET", "/evaluation_datasets")["evaluation_datasets"]
    assert shown == {
        "dataset_uuid": created["evaluation_dataset_uuid"],
        "dataset_name": "support",
        "dataset_type": "EVALUATION_DATASET_TYPE_UNKNOWN",
        "dataset_paradigm": "EVALUATION_DATASET_PARADIGM_SINGLE_TURN",
        "file_size": "32",
        "row_count": 1,
        "has_ground_truth": True,
        "created_at": "2027-01-15T08:00:00Z",
    }


def test_two_datasets_may_have_one_name(account: Account) -> None:
    assert account.dataset(name="twin") != account.dataset(name="twin")
    assert names(account) == ["twin", "twin"]


def test_a_file_is_not_a_dataset_until_it_is_registered(account: Account) -> None:
    account.upload(ROWS)
    assert names(account) == []


def test_what_was_not_uploaded_can_not_be_registered(account: Account) -> None:
    stored = {"original_file_name": "r.csv", "stored_object_key": "none", "size_in_bytes": 1}
    refused = account.refused("POST", "/evaluation_datasets", {"name": "d", "file_upload_dataset": stored})
    assert refused[2] == "file_upload_dataset.stored_object_key: Nothing was uploaded there."


def test_the_size_that_is_registered_is_the_size_of_the_file(account: Account) -> None:
    body = account.dataset_body(ROWS)
    body["file_upload_dataset"]["size_in_bytes"] = 31
    refused = account.refused("POST", "/evaluation_datasets", body)
    assert refused == (422, "unprocessable_entity", "file_upload_dataset.size_in_bytes: The file has 32 bytes.")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n", 'The file has no column "query".'),
        (b"Query\nWho?\n", 'The file has no column "query".'),
        (b"\xef\xbb\xbfquery\nWho?\n", 'The file has no column "query".'),
        (b"query\n", "The file has 0 rows; it must have 1 to 1000."),
        (b"query\n" + b"Who?\n" * 1001, "The file has 1001 rows; it must have 1 to 1000."),
        (b"query,x\nWho?,1\n ,2\n", 'Row 2 has no "query".'),
        (b"query,x\nWho?\n", "Row 1 has 1 cells; the header has 2."),
        (b"query\n\xff\n", "The file is not UTF-8."),
        (b"query,x,query\nWho?,1,Me?\n", 'The file has the column "query" more than once.'),
        (b'query\n"Who?" me\n', "The file is not CSV: ',' expected after '\"'."),
    ],
)
def test_a_file_that_can_not_be_evaluated_is_422(account: Account, content: bytes, problem: str) -> None:
    refused = account.refused("POST", "/evaluation_datasets", account.dataset_body(content))
    assert refused == (422, "unprocessable_entity", problem)


def test_a_cell_may_hold_commas_quotes_and_lines(account: Account) -> None:
    account.dataset(b'query,expected_response\r\n"Who,\r\n""you""?",Me\r\n')
    assert account.ok("GET", "/evaluation_datasets")["evaluation_datasets"][0]["row_count"] == 1


def test_a_dataset_of_models_has_other_columns(account: Account) -> None:
    kind = "EVALUATION_DATASET_TYPE_MODEL"
    account.dataset(b"input\nWho?\n", dataset_type=kind, name="models")
    refused = account.refused("POST", "/evaluation_datasets", account.dataset_body(ROWS, dataset_type=kind))
    assert refused[2] == 'The file has no column "input".'


def test_lists_are_filtered_only_by_what_is_asked(account: Account) -> None:
    account.dataset(ROWS, name="plain")
    account.dataset(b"query\nWho?\n", name="untrue")
    account.dataset(ROWS, name="turns", dataset_paradigm="EVALUATION_DATASET_PARADIGM_MULTI_TURN")
    account.dataset(b"input\nWho?\n", name="models", dataset_type="EVALUATION_DATASET_TYPE_MODEL")
    assert names(account) == ["models", "turns", "untrue", "plain"]
    assert names(account, dataset_type="EVALUATION_DATASET_TYPE_UNKNOWN") == ["turns", "untrue", "plain"]
    assert names(account, dataset_paradigm="EVALUATION_DATASET_PARADIGM_MULTI_TURN") == ["turns"]
    assert names(account, has_ground_truth="false") == ["models", "untrue"]


# --- after that ------------------------------------------------------------------------------------------------


def test_a_download_has_the_bytes_of_the_upload_and_expires(account: Account) -> None:
    answer = account.ok("GET", f"/evaluation_datasets/{account.dataset(ROWS)}/download_url")
    assert answer["expires_at"] == "2027-01-15T08:15:00Z"
    assert account.send("GET", answer["download_url"]).content == ROWS
    assert account.send("GET", answer["download_url"], headers={"Authorization": "Bearer k"}).status_code == 400
    account.now += 900
    assert account.send("GET", answer["download_url"]).status_code == 403


def test_a_dataset_in_use_can_be_deleted_and_leaves_a_reference_behind(account: Account) -> None:
    dataset = account.dataset(name="gone")
    case = account.case(dataset_uuid=dataset)
    assert account.ok("DELETE", f"/evaluation_datasets/{dataset}") == {}
    assert names(account) == []
    shown = account.read_case(case)
    assert (shown["dataset_uuid"], shown["dataset_name"], shown["dataset"]) == (dataset, "gone", None)
