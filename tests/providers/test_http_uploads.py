"""A file on its way to an address that the vendor signed: what is sent, what is not, and what an answer means."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from reconciler.errors import ApiError, InvalidRequest, NotApplied, NotAuthorized, ReadFailed, Unreachable
from reconciler.model.call import Call, Reply, Upload

if TYPE_CHECKING:
    from tests.providers.conftest import World

ROWS = b"query\r\nWhere is it?\r\n"


@pytest.fixture
def upload(tmp_path: Path) -> Upload:
    """A file as it was planned."""
    file = tmp_path / "rows.csv"
    file.write_bytes(ROWS)
    return Upload(str(file), len(ROWS), hashlib.sha256(ROWS).hexdigest()[:12])


def signed(upload: Upload, url: str) -> Call:
    return Call("PUT", "/uploads", elsewhere=url, upload=upload)


def sent(world: World, upload: Upload | None, *script: Any) -> tuple[Reply | ApiError, list[Any]]:
    """What came of it, and what a server at the signed address saw; without an upload the file is fetched."""

    async def main() -> tuple[Reply | ApiError, list[Any]]:
        peer = world.peer(script)
        server = await peer.start()
        provider = world.provider("http://localhost:9/v1")
        try:
            url = f"{peer.url}/bucket/rows.csv?signature=x%2By"
            call = signed(upload, url) if upload else Call("GET", "/downloads", elsewhere=url)
            return await provider.send(call), list(peer.seen)
        except ApiError as error:
            return error, list(peer.seen)
        finally:
            await provider.close()
            server.close()

    return asyncio.run(main())


def test_a_file_goes_to_the_signed_address_as_it_is_and_without_our_key(world: World, upload: Upload) -> None:
    result, (seen,) = sent(world, upload, world.status(200))
    assert isinstance(result, Reply)
    assert (seen.line, seen.body) == ("PUT /bucket/rows.csv?signature=x%2By", ROWS)
    assert seen.headers["content-type"] == "text/csv"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("now", [b"query\r\nWhere is he?\r\n", ROWS + b"More\r\n", b""])
def test_a_file_that_is_not_what_was_planned_is_not_sent(now: bytes, world: World, upload: Upload) -> None:
    Path(upload.path).write_bytes(now)
    result, seen = sent(world, upload)
    assert isinstance(result, InvalidRequest)
    assert f"{upload.path} has changed since it was planned" in result.message
    assert seen == []


def test_a_file_that_is_gone_is_one_sentence(world: World, upload: Upload) -> None:
    result, seen = sent(world, replace(upload, path=upload.path + ".gone"))
    assert isinstance(result, InvalidRequest)
    assert "rows.csv.gone cannot be read: No such file or directory" in result.message
    assert seen == []


def test_a_file_comes_from_the_signed_address_as_it_is(world: World) -> None:
    result, (seen,) = sent(world, None, world.status(200, ROWS))
    assert isinstance(result, Reply)
    assert (result.content, seen.line) == (ROWS, "GET /bucket/rows.csv?signature=x%2By")
    assert "authorization" not in seen.headers


def test_a_file_that_was_cut_off_on_its_way_is_fetched_again(world: World) -> None:
    """Half a table has fewer rows, and each of them looks whole."""
    cut = world.status(200, ROWS, declared_length=100)
    result, seen = sent(world, None, cut, world.status(200, ROWS + b"Is it late?\r\n"))
    assert isinstance(result, Reply)
    assert (result.content, len(seen)) == (ROWS + b"Is it late?\r\n", 2)
    result, _ = sent(world, None, *[cut] * 4)
    assert isinstance(result, ReadFailed)


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_refusal_of_the_storage_says_nothing_about_our_key(code: int, world: World, upload: Upload) -> None:
    """An expired address is 403; the vendor is not given up for it."""
    result, _ = sent(world, upload, world.status(code, b"<Error/>"))
    assert isinstance(result, NotApplied)
    assert not isinstance(result, NotAuthorized)
    assert result.status == code


def test_where_a_file_goes_is_no_setting_of_ours(world: World, upload: Upload) -> None:
    """The platform named the address: neither a redirect from there, nor that nobody answers, is for us to mend."""
    hint = "the platform named the address; check the network, and what stands in between"
    result, _ = sent(world, upload, world.status(307, b"", {"Location": "https://login.example/"}))
    assert isinstance(result, ApiError)
    assert "redirects to https://login.example (307), which is not followed" in result.message
    assert result.hint == hint

    async def main() -> None:
        provider = world.provider("http://localhost:9/v1")
        try:
            await provider.send(signed(upload, "http://127.0.0.1:9/rows"))
        finally:
            await provider.close()

    with pytest.raises(Unreachable) as nobody:
        asyncio.run(main())
    assert nobody.value.hint == hint


@pytest.mark.parametrize("url", ["http://storage.acme.example/rows", "ftp://127.0.0.1/rows", "file:///etc/passwd"])
def test_nothing_is_uploaded_in_the_clear(url: str, world: World, upload: Upload) -> None:
    """But to this very computer, where an emulator may run."""
    error = world.talk([], signed(upload, url)).error
    assert isinstance(error, InvalidRequest)
    assert "not https" in error.message


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/rows",
        "https://localhost/rows",
        "https://[::1]/rows",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/rows",
        "https://2130706433/rows",
        "https://0x7f.1/rows",
        "https://127.1/rows",
        "https://0251.254.0xa9fe/latest/meta-data",
        "https://[::ffff:127.0.0.1]/rows",
        "https://[::1/rows",
    ],
)
def test_a_vendor_elsewhere_can_not_have_us_write_to_this_computer(url: str, world: World, upload: Upload) -> None:
    """Nor to where a cloud keeps a machine's secrets: an answer must not choose whom in our network we talk to."""

    async def main() -> None:
        provider = world.provider("https://api.acme.example/v1")
        try:
            await provider.send(signed(upload, url))
        finally:
            await provider.close()

    with pytest.raises(InvalidRequest, match="not sent: the address to upload to"):
        asyncio.run(main())
