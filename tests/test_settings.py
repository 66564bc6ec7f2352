"""What the environment may say, and what is refused before anything is sent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.cli.console import Console
from reconciler.errors import SettingsInvalid
from reconciler.model.kind import Vendor
from reconciler.model.places import is_loopback
from reconciler.settings import Ci, Settings, base_url, credential, dialect

VENDOR = Vendor(
    name="acme",
    api_version="acme/v1",
    kinds=(),
    base_url="https://api.acme.example/v1",
    key_variable="ACME_API_KEY",
    url_variable="ACME_BASE_URL",
    prefix="ACME_",
    dialect_variable="ACME_DIALECT",
    dialects=("", "seed"),
)


# ----------------------------------------------------------------------------------------- credential


def test_the_key_is_read_and_hides_itself() -> None:
    settings = Settings.from_environ({"ACME_API_KEY": "sk-123"})
    key = credential(VENDOR, settings)
    assert key.reveal() == "sk-123"
    assert credential(VENDOR, {"ACME_API_KEY": "sk-123"}).reveal() == "sk-123"
    assert "sk-123" not in repr(settings) + str(key) + repr(vars(settings))


@pytest.mark.parametrize("environ", [{}, {"ACME_API_KEY": ""}, {"ACME_API_KEY": "  \n"}])
def test_a_missing_key_is_one_sentence_that_names_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        credential(VENDOR, Settings.from_environ(environ))
    assert str(caught.value) == ("ACME_API_KEY is not set: put the API key for acme into this environment variable")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "key", ["a b", "abc\n", "abc\r\nX-Evil: 1", "\tabc", "a\x00b", "a\x7f", "schlüssel", "a\u200bb"]
)
def test_a_key_with_characters_that_no_key_has_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^ACME_API_KEY contains a space, a line break or another") as caught:
        credential(VENDOR, {"ACME_API_KEY": key})
    assert key.strip() not in str(caught.value)


def test_another_variable_may_hold_the_key_if_it_carries_the_vendor_s_prefix() -> None:
    environ = {"ACME_API_KEY": "production", "ACME_API_KEY_STAGING": "staging"}
    assert credential(VENDOR, environ, "ACME_API_KEY_STAGING").reveal() == "staging"


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "ACME_BASE_URL", "ACME_DIALECT", "", "ACME", "acme_api_key", "ACME_A B", "ACME_\n"],
)
def test_no_other_variable_can_be_sent_to_the_vendor(name: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^apiKey.fromEnv names "):
        credential(VENDOR, {name: "secret", "ACME_API_KEY": "k"}, name)


def test_a_missing_alternative_does_not_fall_back_to_the_vendor_s_own_variable() -> None:
    with pytest.raises(SettingsInvalid, match=r"^ACME_API_KEY_STAGING is not set"):
        credential(VENDOR, {"ACME_API_KEY": "production"}, "ACME_API_KEY_STAGING")


# ------------------------------------------------------------------------------------------- base URL


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (None, "https://api.acme.example/v1"),
        ("  ", "https://api.acme.example/v1"),
        ("https://eu.acme.example/v1/", "https://eu.acme.example/v1"),
        ("https://acme.example:8443", "https://acme.example:8443"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_the_address_is_the_variable_s_or_the_vendor_s_own(value: str | None, url: str) -> None:
    environ = {} if value is None else {"ACME_BASE_URL": value}
    assert base_url(VENDOR, Settings.from_environ(environ)) == url


@pytest.mark.parametrize(
    "value",
    ["api.acme.example/v1", "/v1", "ftp://acme.example", "https://", "https:///v1", "https://a b/", "https://a\\@b/",
     "https://acme.example:99999/", "https://[::1/", "https://acme.example/v1\nX", "https://bücher.example/"],
)  # fmt: skip
def test_what_is_no_absolute_http_address_is_refused(value: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^ACME_BASE_URL is not an absolute http or https address"):
        base_url(VENDOR, {"ACME_BASE_URL": value})


@pytest.mark.parametrize(
    "value", ["https://me:hunter2@acme.example/v1", "https://hunter2@acme.example", "https://:@a.example"]
)
def test_an_address_with_a_user_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^ACME_BASE_URL contains a user name or a password") as caught:
        base_url(VENDOR, {"ACME_BASE_URL": value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["https://a.example/v1?x=1", "https://a.example/v1#x", "https://a.example/v1?"])
def test_an_address_with_a_query_or_a_fragment_is_refused(value: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^ACME_BASE_URL contains a query or a fragment"):
        base_url(VENDOR, {"ACME_BASE_URL": value})


@pytest.mark.parametrize(
    "host", ["acme.example", "10.0.0.1", "0.0.0.0", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_plain_http_leaves_this_computer_only_on_request(host: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"to {host}: use https, or set RECONCILER_ALLOW_HTTP=1$"):
        base_url(VENDOR, {"ACME_BASE_URL": f"http://{host}/v1"})
    allowed = {"ACME_BASE_URL": f"http://{host}/v1", "RECONCILER_ALLOW_HTTP": "1"}
    assert base_url(VENDOR, allowed) == base_url(VENDOR, Settings.from_environ(allowed)) == f"http://{host}/v1"


def test_loopback_is_known_by_name_and_by_number() -> None:
    here = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"]
    elsewhere = ["", "example.com", "128.0.0.1", "::2", "mylocalhost", "0.0.0.0"]
    assert [is_loopback(host) for host in here] == [True] * 6
    assert [is_loopback(host) for host in elsewhere] == [False] * 6


# -------------------------------------------------------------------------------------------- the rest


def test_the_dialect_is_one_of_the_vendor_s() -> None:
    assert dialect(VENDOR, {}) == ""
    assert dialect(replace(VENDOR, dialect_variable=""), {"": "seed"}) == ""
    assert dialect(VENDOR, Settings.from_environ({"ACME_DIALECT": "seed"})) == "seed"
    with pytest.raises(SettingsInvalid, match=r"^ACME_DIALECT names an unknown dialect: leave it unset, or use seed$"):
        dialect(VENDOR, {"ACME_DIALECT": "klingon"})


def test_only_variables_made_for_manifests_are_in_variables() -> None:
    settings = Settings.from_environ({"RECONCILER_VAR_TEAM": "cx", "AWS_SECRET": "x", "RECONCILER_ALLOW_HTTP": "0"})
    assert dict(settings.variables) == {"RECONCILER_VAR_TEAM": "cx"}
    assert settings.get("AWS_SECRET").reveal() == "x"


@pytest.mark.parametrize(("value", "off"), [(None, False), ("", False), ("1", True), ("anything", True)])
def test_colour_is_off_when_no_color_is_set_and_not_empty(
    monkeypatch: pytest.MonkeyPatch, value: str | None, off: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    assert Console(color=True).color is not off


def test_the_uncertainty_window_is_the_variable_s_else_short_on_this_computer_only() -> None:
    assert Settings.from_environ({"RECONCILER_UNCERTAINTY_WINDOW": "2m"}).uncertainty_window("https://a.example") == 120
    settings = Settings.from_environ({})
    assert settings.uncertainty_window_s is None
    assert settings.uncertainty_window("https://api.acme.example/v1") == 60
    assert settings.uncertainty_window("http://127.0.0.1:8000/v1") == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECONCILER_UNCERTAINTY_WINDOW", "60"),
        ("RECONCILER_UNCERTAINTY_WINDOW", "soon"),
        ("RECONCILER_ALLOW_HTTP", "maybe"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"^{name} is n"):
        Settings.from_environ({name: value})


def test_the_ci_job_is_known_on_github_and_gitlab() -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/evals",
        "GITHUB_RUN_ID": "42",
        "GITHUB_STEP_SUMMARY": "/summary",
    }
    ci = Settings.from_environ(github).ci
    assert (ci.system, ci.job_url) == ("github", "https://github.com/acme/evals/actions/runs/42")
    assert ci.summary_file == "/summary"
    gitlab = Settings.from_environ({"GITLAB_CI": "true", "CI_JOB_URL": "https://gitlab.example/j/1\x1b[2J"}).ci
    assert (gitlab.system, gitlab.job_url) == ("gitlab", "https://gitlab.example/j/1[2J")
    assert Settings.from_environ({}).ci == Ci()
