"""The files of the dashboard over HTTP, without a network behind them."""

import re
import subprocess
from importlib.resources import files

import pytest

from node import dashboard
from rpc.dispatch import Dispatcher
from rpc.gateway import Gateway
from rpc.http import HttpRequest, HttpResponse, render_response
from rpc.limits import Limits

STATIC = files(dashboard).joinpath("static")
NAMES = sorted(file.name for file in STATIC.iterdir())


async def get(target=b"/dashboard", method=b"GET", **headers):
    gateway = Gateway(
        Dispatcher(None, Limits()), cors_origins=(), allowed_hosts=(), routes=dashboard.routes()
    )
    named = {b"host": b"localhost:8545"}
    named |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
    response = await gateway.respond(
        HttpRequest(
            method=method,
            target=target,
            headers=named,
            http_1_0=False,
            keep_alive=True,
            upgrade=False,
        )
    )
    assert isinstance(response, HttpResponse)
    return response


def header(response, name):
    wanted = name.lower().encode() + b": "
    found = [line for line in response.headers if line.lower().startswith(wanted)]
    return found[0][len(wanted) :].decode() if found else None


@pytest.mark.parametrize("name", NAMES)
async def test_every_file_is_served_as_what_it_is(name):
    path = "/dashboard" if name == "index.html" else f"/dashboard/{name}"
    response = await get(path.encode())
    assert response.status == 200
    assert response.body == STATIC.joinpath(name).read_bytes()
    kinds = {
        "css": "text/css",
        "html": "text/html",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    assert response.content_type.decode().startswith(kinds[name.rpartition(".")[2]])
    assert header(response, "X-Content-Type-Options") == "nosniff"


async def test_the_policy_lets_the_page_load_and_ask_nothing_but_this_node():
    policy = dict(
        part.split(" ", 1) for part in header(await get(), "Content-Security-Policy").split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


async def test_a_page_that_is_known_is_not_sent_again():
    tag = header(await get(), "ETag")
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    for known in (tag, f'"x", W/{tag}', "*"):
        response = await get(if_none_match=known.encode())
        assert (response.status, response.body) == (304, b"")
        assert header(response, "ETag") == tag
        assert b"Content-Length" not in render_response(response, close=False)
    assert (await get(if_none_match=b'"x"')).status == 200


async def test_head_is_the_same_without_the_body():
    whole = render_response(await get(), close=False)
    head = render_response(await get(method=b"HEAD"), close=False, head=True)
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH"])
async def test_nothing_but_reading_is_offered(method):
    response = await get(method=method)
    assert response.status in (404, 405)


@pytest.mark.parametrize(
    "target",
    [
        b"/dashboard/../dashboard/app.js",
        b"/dashboard/..%2f__init__.py",
        b"/dashboard/%2e%2e/__init__.py",
        b"/dashboard/__init__.py",
        b"/dashboard/static/app.js",
        b"/dashboard/app.js/",
        b"/dashboard//app.js",
        b"/dashboard/APP.JS",
        b"/dashboard/app.js%00",
        b"/dashboard/index.html",
        b"/dashboardapp.js",
        b"/app.js",
    ],
)
async def test_a_path_names_a_file_exactly_or_nothing(target):
    assert (await get(target)).status == 404


async def test_a_browser_that_opens_the_endpoint_is_sent_to_the_page():
    response = await get(b"/", accept=b"text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status, header(response, "Location")) == (302, "/dashboard")
    assert (await get(b"/dashboard/")).status == 302
    for plain in ({}, {"accept": b"*/*"}, {"accept": b"application/json"}):
        assert (await get(b"/", **plain)).status == 405


async def test_another_name_or_origin_gets_no_page():
    assert (await get(host=b"evil.example")).status == 403
    assert (await get(origin=b"http://evil.example")).status == 403
    assert (await get(origin=b"http://localhost:8545")).status == 200


def test_the_page_has_no_inline_code_and_names_files_that_are_there():
    page = STATIC.joinpath("index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(named) >= 6
    for name in named:
        assert name.removeprefix("dashboard/") in NAMES, name
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\s(?:style|on\w+)=", page)
    for name in NAMES:
        if name.endswith(".js"):
            source = STATIC.joinpath(name).read_text()
            imported = re.findall(r'from "\./([^"]+)"', source)
            assert set(imported) <= set(NAMES), name
            assert "innerHTML" not in source, name


def test_nothing_of_another_origin_is_named():
    for name in NAMES:
        found = set(re.findall(r"https?://[^\s\"'`)]+", STATIC.joinpath(name).read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, name


def test_every_file_is_in_the_repository():
    """From where the wheel and the image take them."""
    root = files("node").joinpath("..").resolve()
    listed = subprocess.run(
        ["git", "ls-files", "node/dashboard/static"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    assert sorted(line.rpartition("/")[2] for line in listed.stdout.splitlines()) == NAMES
