"""States behind Terraform's HTTP protocol: the document, the lock, and where credentials go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconciler.errors import LockHeld, SettingsInvalid, StateUnreadable, UsageInvalid
from reconciler.model.places import parse_place
from reconciler.model.provider import StateStore
from reconciler.model.state import Record, State
from reconciler.storage.encoding import SIZE_CAP
from reconciler.storage.http import HttpStateStore, credential_for, doors

OpenStore = Callable[..., StateStore]
PASSWORD = "canary-state-password-5e1f"
GITLAB = "https://gitlab.example/api/v4/projects/7/terraform/state/production"
DONE: Record = {"record": "done", "address": "openlayer.Project/bot", "entry": {"remote_id": "p1"}}
PLAIN_PATH = "/states/production"
GITLAB_PATH = "/api/v4/projects/7/terraform/state/production"


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def store_at(url: str, **environ: str) -> HttpStateStore:
    return HttpStateStore(parse_place(url), "production", environ=environ, now=noon, pause=lambda _: None)


# ------------------------------------------------------------------------------------------ the document


@pytest.fixture(params=["http", "gitlab"])
def server_and_path(request: pytest.FixtureRequest, terraform_server: Any) -> tuple[Any, str, OpenStore]:
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return terraform_server, PLAIN_PATH if request.param == "http" else GITLAB_PATH, opener


def test_looking_leaves_no_trace(server_and_path: tuple[Any, str, OpenStore]) -> None:
    server, path, opener = server_and_path
    store = opener()
    assert (store.load(), store.holder(), server.documents[path].content) == (State(), None, b"")
    assert {method for method, _ in server.seen} == {"GET"}


def test_the_document_looks_like_a_terraform_state(server_and_path: tuple[Any, str, OpenStore]) -> None:
    server, path, opener = server_and_path
    store = opener()
    with store.lock("apply"):
        written = store.commit(State())
        store.append([DONE])
    document = json.loads(server.documents[path].content)
    assert list(document) == ["version", "serial", "lineage", "reconciler"]
    assert (document["version"], document["lineage"]) == (4, written.lineage)
    header, record = (json.loads(line)["data"] for line in document["reconciler"]["journal"])
    assert record == DONE
    assert (header["serial"], document["reconciler"]["snapshot"]["serial"]) == (1, 1)


def test_every_write_raises_the_serial_of_the_document(open_gitlab: OpenStore, terraform_server: Any) -> None:
    """GitLab refuses one that it has seen: lock, append, commit and unlock are four writes, twice."""
    for _ in range(2):
        store = open_gitlab()
        with store.lock("apply"):
            store.append([DONE])
            store.commit(store.load())
    assert sorted(terraform_server.documents[GITLAB_PATH].versions) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (lambda content: content[:-20], "is cut off or damaged: it begins like a state and is no JSON as a whole"),
        (lambda _: b"<!DOCTYPE html><title>Sign in</title>", "answered with a web page, and not with a state"),
        (lambda _: b"  <html>Sign in</html>", "answered with a web page, and not with a state"),
        (lambda _: b"Welcome", "answered with something that is no JSON, and so no state"),
    ],
)
def test_an_answer_that_is_no_json_is_not_called_the_state_of_somebody_else(
    cut: Any, told: str, open_http: OpenStore, terraform_server: Any
) -> None:
    """To give the environment another address would begin a new state there."""
    store = open_http()
    with store.lock("apply"):
        store.append([DONE])
    document = terraform_server.documents[PLAIN_PATH]
    document.content = cut(document.content)
    with pytest.raises(StateUnreadable) as caught:
        open_http().load()
    assert told in caught.value.message
    assert "something else" not in caught.value.message
    assert caught.value.hint
    assert "an address of its own" not in caught.value.hint


def test_the_state_of_terraform_itself_is_not_touched(open_http: OpenStore, terraform_server: Any) -> None:
    store = open_http()
    store.load()
    theirs = b'{"version": 4, "terraform_version": "1.9.0", "serial": 3, "lineage": "l", "resources": []}'
    terraform_server.documents[PLAIN_PATH].content = theirs
    with pytest.raises(StateUnreadable, match="holds something else, such as the state of Terraform") as caught:
        store.load()
    assert caught.value.hint == "give this environment an address of its own"
    with pytest.raises(StateUnreadable), store.lock("apply"):
        pass
    document = terraform_server.documents[PLAIN_PATH]
    assert (document.content, document.lock) == (theirs, None)


def test_every_damage_is_noticed(open_http: OpenStore, terraform_server: Any) -> None:
    store = open_http()
    with store.lock("apply"):
        store.commit(State())
        store.append([DONE])
    document = terraform_server.documents[PLAIN_PATH]
    whole = json.loads(document.content)
    damages: list[Callable[[Any], object]] = [
        lambda ours: ours["journal"].pop(),
        lambda ours: ours["journal"].pop(0),
        lambda ours: ours["journal"].append(ours["journal"][-1]),
        lambda ours: ours["snapshot"].update(serial=2),
        lambda ours: ours.update(snapshot=None),
        lambda ours: ours.update(journal=[7]),
        lambda ours: ours.pop("snapshot"),
    ]
    for damage in damages:
        broken = json.loads(json.dumps(whole))
        damage(broken["reconciler"])
        document.content = json.dumps(broken).encode()
        with pytest.raises(StateUnreadable, match="states/production"):
            open_http().load()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{", b"[" * 100_000, b'"x"', b"{}", b'{"reconciler": {}}'])
def test_what_is_no_document_is_a_sentence(open_http: OpenStore, terraform_server: Any, content: bytes) -> None:
    store = open_http()
    store.load()
    terraform_server.documents[PLAIN_PATH].content = content
    with pytest.raises(StateUnreadable, match="states/production"):
        store.load()


def test_an_enormous_document_is_cut_off(open_http: OpenStore, terraform_server: Any) -> None:
    store = open_http()
    store.load()
    terraform_server.documents[PLAIN_PATH].content = b" " * (SIZE_CAP + 1)
    with pytest.raises(StateUnreadable, match=f"larger than the {SIZE_CAP:,} bytes"):
        store.load()


def test_an_answer_that_takes_too_long_is_given_up(open_http: OpenStore) -> None:
    """However steadily it drips."""
    store: Any = open_http(pause=lambda _: None)
    with store.lock("apply"):
        store.commit(State())
    store.deadline_s = 0.0
    with pytest.raises(StateUnreadable, match="cannot be read: no answer in time"):
        store.load()


def test_a_passing_failure_of_a_read_is_tried_again(
    open_http: OpenStore, terraform_server: Any, terraform_wire: Any
) -> None:
    store = wired(open_http, terraform_wire)
    for status in (500, 502, 429, 408):
        terraform_wire.next("GET", deliver=False, answer=status)
    assert store.load() == State()
    assert len(terraform_server.seen) == 1


def wired(opener: OpenStore, wire: Any) -> StateStore:
    return opener(origin=wire.url, environ={"RECONCILER_STATE_ORIGIN": wire.url}, pause=lambda _: None)


def test_a_project_that_gitlab_does_not_show_is_no_empty_state(open_gitlab: OpenStore, terraform_wire: Any) -> None:
    """It answers 404 to those who may not see it, as it does where no state is yet."""
    store = wired(open_gitlab, terraform_wire)
    terraform_wire.next("GET", deliver=False, answer=(404, b'{"message":"404 Project Not Found"}'))
    with pytest.raises(SettingsInvalid, match="there is no such project, or these credentials may not see it"):
        store.load()


@pytest.mark.parametrize(("method", "fails"), [("POST", "/lock"), ("DELETE", "/lock")])
def test_gitlabs_lock_is_tried_again_after_an_error(
    open_gitlab: OpenStore, terraform_server: Any, terraform_wire: Any, method: str, fails: str
) -> None:
    for answer in (500, 502):
        terraform_wire.next(method, fails, answer=answer)  # though it was done
    with wired(open_gitlab, terraform_wire).lock("apply") as holder:
        assert terraform_server.documents[GITLAB_PATH].lock["ID"] == holder.lock_id
    assert terraform_server.documents[GITLAB_PATH].lock is None


def test_a_lock_that_never_gets_an_answer_is_a_sentence(open_http: OpenStore, terraform_wire: Any) -> None:
    for _ in range(6):
        terraform_wire.next("LOCK", deliver=False, answer=503)
    with pytest.raises(StateUnreadable, match="the lock cannot be taken: the server answered 503"):
        wired(open_http, terraform_wire).lock("apply").__enter__()


@pytest.mark.parametrize("status", [400, 413])
def test_a_write_that_is_refused_for_good_is_not_repeated(
    open_http: OpenStore, terraform_wire: Any, status: int
) -> None:
    store = wired(open_http, terraform_wire)
    with pytest.raises(StateUnreadable, match=f"the server answered {status} to POST"), store.lock("apply"):
        terraform_wire.renew()
        terraform_wire.next("POST", deliver=False, answer=status)
        store.append([DONE])
    assert [method for method, _, _ in terraform_wire.seen].count("POST") == 2, "the append, and giving the lock back"


# ------------------------------------------------------------------------------------------ the lock


def test_the_lock_of_terraform_itself_is_respected_and_named(open_http: OpenStore, terraform_server: Any) -> None:
    store = open_http()
    store.load()
    lock = {"ID": "7f3a", "Operation": "OperationTypeApply", "Who": "ann@laptop", "Created": "2026-11-22T11:00:00Z"}
    terraform_server.documents[PLAIN_PATH].lock = {**lock, "Info": "", "Version": "1.9.0", "Path": ""}
    with pytest.raises(LockHeld, match=r"ann@laptop \(.*OperationTypeApply\) since 2026-11-22T11:00:00Z, lock 7f3a"):
        store.lock("apply").__enter__()


@pytest.mark.parametrize("told", [None, [], {}, {"ID": None}, {"Info": 7}, {"Info": '{"x": 1}'}, {"Info": "{"}])
def test_a_holder_that_says_nothing_of_use_is_still_a_holder(
    open_http: OpenStore, terraform_wire: Any, told: Any
) -> None:
    terraform_wire.next("LOCK", deliver=False, answer=(423, json.dumps(told).encode()))
    with pytest.raises(LockHeld, match="another run holds the lock: somebody"):
        wired(open_http, terraform_wire).lock("apply").__enter__()


def test_a_conflict_at_gitlab_does_not_call_us_the_holder(open_gitlab: OpenStore, terraform_server: Any) -> None:
    """GitLab repeats what the one who asks has said; the document says who really holds the lock."""
    first = open_gitlab(job="https://ci.example/7")
    with first.lock("apply") as holder:
        with pytest.raises(LockHeld, match=r"apply.*https://ci.example/7") as caught:
            open_gitlab(job="https://ci.example/8").lock("destroy").__enter__()
        assert holder.lock_id in caught.value.hint
        assert "destroy" not in caught.value.message
    terraform_server.documents[GITLAB_PATH].lock = {"ID": "by-hand", "Who": "ann", "Created": "noon"}
    with pytest.raises(
        LockHeld, match=r"another run holds the lock: ann .*unknown operation\) since noon, lock by-hand"
    ):
        open_gitlab().lock("destroy").__enter__()


@pytest.mark.parametrize(
    ("place", "path", "told"),
    [
        ("open_http", PLAIN_PATH, "was broken"),
        ("open_gitlab", GITLAB_PATH, "cannot be written: the server answered 500"),
    ],
)
def test_a_lock_that_was_removed_at_the_server_fences_its_holder(
    place: str, path: str, told: str, request: pytest.FixtureRequest, terraform_server: Any
) -> None:
    """As a button of GitLab's does, which leaves our document as it is; the next run is not held up by what it says."""
    opener: OpenStore = request.getfixturevalue(place)
    store = opener(pause=lambda _: None)
    with store.lock("apply"):
        store.append([DONE])
        terraform_server.documents[path].lock = None
        with pytest.raises(StateUnreadable, match=told):
            store.append([DONE])
    broken = opener().holder()
    assert broken is not None
    opener().unlock(broken.lock_id)  # the document still says so
    assert opener().holder() is None
    with opener().lock("apply") as holder:
        assert opener().holder() == holder


def test_a_lock_that_nobody_wrote_down_can_be_broken(open_http: OpenStore, terraform_server: Any) -> None:
    """A run that died between taking the lock and saying so."""
    store = open_http()
    store.load()
    terraform_server.documents[PLAIN_PATH].lock = {"ID": "dead", "Who": "a runner"}
    assert store.holder() is None
    with pytest.raises(UsageInvalid, match="another one: a runner"):
        store.unlock("wrong")
    store.unlock("dead")
    with store.lock("apply"):
        pass


def test_a_lock_that_the_server_keeps_is_not_said_to_be_broken(
    open_http: OpenStore, terraform_server: Any, terraform_wire: Any
) -> None:
    store = wired(open_http, terraform_wire)
    store.load()
    terraform_server.documents[PLAIN_PATH].lock = {"ID": "dead", "Who": "a runner"}
    terraform_wire.next("UNLOCK", deliver=False, answer=200)
    with pytest.raises(StateUnreadable, match="the server took the request to free the lock dead, and still has it"):
        store.unlock("dead")
    store.unlock("dead")
    assert terraform_server.documents[PLAIN_PATH].lock is None


@pytest.mark.parametrize(
    ("place", "last"),
    [("open_http", ("UNLOCK", PLAIN_PATH)), ("open_gitlab", ("DELETE", f"{GITLAB_PATH}/lock?ID="))],
)
def test_the_lock_is_freed_as_terraform_does_and_at_gitlab_by_its_id_as_well(
    place: str, last: tuple[str, str], request: pytest.FixtureRequest, terraform_server: Any
) -> None:
    """GitLab takes a request without an id, as where a proxy drops the body of a DELETE, for breaking any lock."""
    opener: OpenStore = request.getfixturevalue(place)
    with opener().lock("apply") as holder:
        pass
    method, path = terraform_server.seen[-1]
    assert (method, path.removesuffix(holder.lock_id)) == last


def test_a_server_without_locks_is_refused(open_http: OpenStore, terraform_server: Any, terraform_wire: Any) -> None:
    for status in (404, 405, 501):
        store = open_http(origin=terraform_wire.url, environ={"RECONCILER_STATE_ORIGIN": terraform_wire.url})
        terraform_wire.next("LOCK", deliver=False, answer=status)
        with pytest.raises(SettingsInvalid, match="this server has no lock there") as caught, store.lock("apply"):
            pass
        assert "TF_HTTP_LOCK_ADDRESS" in caught.value.hint
    assert terraform_server.documents == {}


def test_a_server_that_gives_its_lock_to_everybody_is_refused(
    open_http: OpenStore, terraform_server: Any, terraform_wire: Any
) -> None:
    store = open_http(origin=terraform_wire.url, environ={"RECONCILER_STATE_ORIGIN": terraform_wire.url})
    for _ in range(2):
        terraform_wire.next("LOCK", deliver=False, answer=200)
    with pytest.raises(SettingsInvalid, match="gives its lock to two at a time"), store.lock("apply"):
        pass
    assert all(not document.content for document in terraform_server.documents.values())


# ------------------------------------------------------------------------------------------ credentials


@pytest.fixture
def stranger(terraform_server: Any) -> Iterator[Any]:
    """Another server of the same make, which tells what it was sent."""
    other = type(terraform_server)()
    yield other
    other.close()


def test_nothing_is_sent_to_an_origin_that_the_environment_does_not_vouch_for(
    stranger: Any, terraform_environ: dict[str, str]
) -> None:
    with pytest.raises(SettingsInvalid, match=f"does not vouch for {stranger.url}") as caught:
        store_at(f"{stranger.url}/states/production", **terraform_environ)
    assert "RECONCILER_STATE_ORIGIN" in caught.value.hint
    assert PASSWORD not in caught.value.message + caught.value.hint
    assert stranger.seen == []


def test_a_redirect_is_not_followed(open_http: OpenStore, terraform_server: Any, terraform_wire: Any) -> None:
    store = open_http(origin=terraform_wire.url, environ={"RECONCILER_STATE_ORIGIN": terraform_wire.url})
    terraform_wire.next("GET", deliver=False, answer=307)
    with pytest.raises(SettingsInvalid, match="was redirected"):
        store.load()
    assert terraform_server.seen == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TF_HTTP_ADDRESS": "https://gitlab.example/x", "TF_HTTP_USERNAME": "u", "TF_HTTP_PASSWORD": "p"}, ("u", "p")),
        ({"RECONCILER_STATE_ORIGIN": "https://GITLAB.example:443", "TF_HTTP_PASSWORD": "p"}, ("", "p")),
        ({"RECONCILER_STATE_URL": GITLAB, "TF_HTTP_PASSWORD": "p"}, ("", "p")),
        ({"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_JOB_TOKEN": "t"}, ("gitlab-ci-token", "t")),
        (
            {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_JOB_TOKEN": "t", "TF_HTTP_PASSWORD": "p"},
            ("", "p"),
        ),
        (
            {  # the password is for another server
                "CI_API_V4_URL": "https://gitlab.example/api/v4",
                "CI_JOB_TOKEN": "t",
                "TF_HTTP_ADDRESS": "https://state.example/x",
                "TF_HTTP_PASSWORD": "p",
            },
            ("gitlab-ci-token", "t"),
        ),
        ({"RECONCILER_STATE_ORIGIN": "https://gitlab.example", "CI_JOB_TOKEN": "t"}, None),
    ],
)
def test_each_credential_belongs_to_an_origin(environ: dict[str, str], expected: tuple[str, str] | None) -> None:
    found = credential_for("https://gitlab.example", environ)
    assert (found and (found.username, found.password.reveal())) == expected


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TF_HTTP_PASSWORD": "p", "TF_HTTP_USERNAME": "u"},
        {"CI_JOB_TOKEN": "t"},
        {"RECONCILER_STATE_ORIGIN": "http://gitlab.example"},
        {"RECONCILER_STATE_ORIGIN": "https://gitlab.example:8443"},
        {"RECONCILER_STATE_ORIGIN": "https://gitlab.example.evil.example"},
        {"CI_API_V4_URL": "https://evil.example/api/v4", "CI_JOB_TOKEN": "t"},
        {"RECONCILER_STATE_URL": "s3://gitlab.example"},
    ],
)
def test_an_origin_needs_somebody_who_vouches_for_it(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match=r"does not vouch for https://gitlab\.example"):
        credential_for("https://gitlab.example", environ)


def test_a_wrong_password_is_told_at_once_and_not_shown(terraform_server: Any) -> None:
    environ = {"RECONCILER_STATE_ORIGIN": terraform_server.url, "TF_HTTP_PASSWORD": PASSWORD, "TF_HTTP_USERNAME": "x"}
    store = store_at(f"{terraform_server.url}/states/production", **environ)
    with pytest.raises(SettingsInvalid, match=r"GET is not allowed \(401\)") as caught:
        store.load()
    assert len(terraform_server.seen) == 1
    assert "TF_HTTP_PASSWORD" in caught.value.hint
    assert PASSWORD not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r} {vars(store)!r}"


def test_plain_http_to_another_computer_needs_permission() -> None:
    environ = {"RECONCILER_STATE_ORIGIN": "http://state.example"}
    with pytest.raises(SettingsInvalid, match=r"state.url is a plain http address.* to state.example"):
        store_at("http://state.example/x", **environ)
    assert (
        store_at("http://state.example/x", **environ, RECONCILER_ALLOW_HTTP="1").describe() == "http://state.example/x"
    )


def test_a_certificate_file_that_is_none_is_told(tmp_path: Any) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(SettingsInvalid, match="SSL_CERT_FILE cannot be used"):
            store_at(
                "https://state.example/x",
                RECONCILER_STATE_ORIGIN="https://state.example",
                SSL_CERT_FILE=str(tmp_path / name),
            )


# ------------------------------------------------------------------------------------------ proxies


@pytest.fixture
def behind(proxy: Any, terraform_server: Any, terraform_environ: dict[str, str]) -> dict[str, str]:
    """The environment of a state that only the proxy finds, at ``http://state.example``."""
    at = urlsplit(terraform_server.url)
    proxy.target = (at.hostname, at.port)
    told = {"RECONCILER_STATE_ORIGIN": "http://state.example", "RECONCILER_ALLOW_HTTP": "1"}
    return {**terraform_environ, **told, "http_proxy": proxy.origin.replace("//", f"//me:{PASSWORD}@")}


def test_a_state_is_reached_through_the_proxy(behind: dict[str, str], proxy: Any, terraform_server: Any) -> None:
    store = store_at("http://state.example/states/production", **behind)
    with store.lock("apply"):
        store.commit(State())
    assert store.load().serial == 1
    assert {method for method, _ in terraform_server.seen} == {"GET", "LOCK", "POST", "UNLOCK"}
    assert len(proxy.seen) == len(terraform_server.seen)


def test_a_state_on_this_computer_is_reached_without_the_proxy(
    terraform_environ: dict[str, str], proxy: Any, terraform_server: Any
) -> None:
    store = store_at(f"{terraform_server.url}/states/production", **terraform_environ, http_proxy=proxy.origin)
    assert store.load().serial == 0
    assert (proxy.seen, len(terraform_server.seen)) == ([], 1)


def test_a_proxy_that_refuses_the_way_to_a_state_is_named(behind: dict[str, str], proxy: Any) -> None:
    proxy.answer = 407
    environ = {**behind, "RECONCILER_STATE_ORIGIN": "https://state.example", "HTTPS_PROXY": behind["http_proxy"]}
    store = store_at("https://state.example/states/production", **environ)
    with pytest.raises(StateUnreadable) as caught:
        store.load()
    assert f"the proxy {proxy.origin} (HTTPS_PROXY) answers 407" in str(caught.value)
    assert PASSWORD not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r} {vars(store)!r}"


def test_a_proxy_to_a_state_that_is_not_there_is_named(behind: dict[str, str]) -> None:
    environ = {**behind, "http_proxy": "http://127.0.0.1:9"}
    with pytest.raises(StateUnreadable, match=r"through the proxy http://127\.0\.0\.1:9 \(http_proxy\)"):
        store_at("http://state.example/states/production", **environ).load()


# ------------------------------------------------------------------------------------------ where the lock is


def test_the_lock_is_at_the_address_itself() -> None:
    lock, unlock = doors("https://state.example/x", {})
    assert (lock.method, lock.url) == ("LOCK", "https://state.example/x")
    assert (unlock.method, unlock.url) == ("UNLOCK", "https://state.example/x")


def test_an_address_of_gitlab_says_where_its_lock_is() -> None:
    lock, unlock = doors(GITLAB, {})
    assert (lock.method, lock.url) == ("POST", f"{GITLAB}/lock")
    assert (unlock.method, unlock.url) == ("DELETE", f"{GITLAB}/lock")


def test_terraforms_variables_say_where_the_lock_is() -> None:
    environ = {
        "TF_HTTP_ADDRESS": "https://state.example/x/",
        "TF_HTTP_LOCK_ADDRESS": "https://state.example/lock/x",
        "TF_HTTP_LOCK_METHOD": "put",
        "TF_HTTP_UNLOCK_METHOD": "DELETE",
    }
    lock, unlock = doors("https://state.example/x", environ)
    assert (lock.method, lock.url) == ("PUT", "https://state.example/lock/x")
    assert (unlock.method, unlock.url) == ("DELETE", "https://state.example/lock/x")


def test_terraforms_variables_for_another_state_do_not_count() -> None:
    environ = {"TF_HTTP_ADDRESS": "https://state.example/y", "TF_HTTP_LOCK_ADDRESS": "https://state.example/lock/y"}
    assert doors("https://state.example/x", environ) == doors("https://state.example/x", {})


@pytest.mark.parametrize("lock", ["https://evil.example/x/lock", "http://state.example/x/lock", "s3://state.example"])
def test_the_lock_is_on_the_server_of_the_state(lock: str) -> None:
    with pytest.raises(SettingsInvalid, match="TF_HTTP_LOCK_ADDRESS is on another server"):
        doors("https://state.example/x", {"TF_HTTP_LOCK_ADDRESS": lock})


def test_a_method_is_a_word() -> None:
    with pytest.raises(SettingsInvalid, match="TF_HTTP_LOCK_METHOD is not a method of HTTP"):
        doors("https://state.example/x", {"TF_HTTP_LOCK_METHOD": "GET /\r\nX: y"})
