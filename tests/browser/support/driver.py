"""Headless Chromium by the WebDriver protocol (W3C), as chromedriver speaks it.

Small on purpose: what the tests of the dashboard need, and nothing that waits without a deadline.
"""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from tests.cluster.support.client import wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
SECONDS = 30.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Shift": "\ue008",
    "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
}  # fmt: skip


T = TypeVar("T")


class Browser:
    """One session of Chromium. A call that the driver refuses fails the test with its words."""

    def __init__(self, driver: str, profile: Path) -> None:
        self._http = requests.Session()
        self._http.trust_env = False
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={profile}"],
        }
        capabilities = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._url = driver
        made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._url = f"{driver}/session/{made['sessionId']}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {})
        answer = self._http.request(method, self._url + path, data=data, timeout=60)
        value = answer.json()["value"]
        if not answer.ok:
            pytest.fail(f"{method} {path}: {value.get('error')}: {value.get('message')}")
        return value

    def close(self) -> None:
        self._send("DELETE", "")

    def reset(self) -> None:
        """As new: an empty page, nothing stored, nothing emulated, nothing in the logs."""
        self.open("about:blank")
        self.cdp("Storage.clearDataForOrigin", origin="*", storageTypes="all")
        self.cdp("Emulation.setEmulatedMedia", features=[])
        self.size(1440, 900)
        self.console()
        self.requested()

    # ------------------------------------------------------------------ pages

    def open(self, url: str) -> None:
        self._send("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self._send("GET", "/url"))

    def back(self) -> None:
        self._send("POST", "/back")

    def run(self, script: str, *args: Any) -> Any:
        """What the body of a function returns in the page."""
        return self._send("POST", "/execute/sync", {"script": script, "args": args})

    def cdp(self, command: str, **params: Any) -> Any:
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width: int, height: int) -> None:
        """Of what is seen of the page, in CSS pixels."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def media(self, **features: str) -> None:
        """Emulate media features, such as `prefers_color_scheme="dark"`."""
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, file: Path, *, whole: bool = False, of: str | None = None) -> None:
        """PNG of what is seen, of the whole page, or of the element `of`."""
        part = {}
        if of is not None:
            box = self.run(
                "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
                "return [b.x + scrollX, b.y + scrollY, b.width, b.height]",
                of,
            )
            part = {"clip": dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)}
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **part)
        file.write_bytes(base64.b64decode(shot["data"]))

    # ------------------------------------------------------------------ what is on the page

    def text(self, selector: str) -> str | None:
        """The text of the first element, None while there is none that is shown."""
        found = self.run(
            "const e = document.querySelector(arguments[0]);"
            "return e && e.checkVisibility() ? e.innerText : null",
            selector,
        )
        return None if found is None else str(found)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return list(self.run(script, selector))

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def until(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        try:
            return wait_for(condition, what, seconds)
        except pytest.fail.Exception:
            pytest.fail(f"waited {seconds:g} s for {what}; the page says:\n{self.text('body')}")

    def is_soon(self, look: Callable[[], T], wanted: T | Callable[[T], bool], what: str) -> T:
        """Wait until what is looked at is this, or is right; the last of it.

        A page follows the network, and a click, when it comes to it: whatever is asserted of it has a
        deadline of its own.
        """
        found: list[T] = []

        def right() -> bool:
            found[:] = [look()]
            return wanted(found[0]) if callable(wanted) else bool(found[0] == wanted)

        try:
            self.until(right, what)
        except pytest.fail.Exception as error:
            pytest.fail(f"{found[0]!r} instead of {what}: {error}")
        return found[0]

    def is_still(self, look: Callable[[], T], wanted: T | Callable[[T], bool], what: str) -> None:
        """What had come is there: nothing is waited for."""
        found = look()
        assert wanted(found) if callable(wanted) else found == wanted, f"{found!r}, not {what}"

    def has(self, selector: str, count: int) -> None:
        """Wait until there are so many of these elements."""
        self.is_soon(lambda: self.count(selector), count, f"{count} of {selector}")

    def says(self, selector: str, words: str) -> None:
        """Wait until one of these elements, shown or not, contains these words."""
        self.is_soon(
            lambda: self.texts(selector),
            lambda texts: any(words in text for text in texts),
            f"{words!r} in a {selector}",
        )

    def lacks(self, selector: str) -> None:
        """Wait until no such element is shown."""
        self.is_soon(lambda: self.text(selector), None, f"no {selector}")

    def gives(self, script: str, wanted: Any, what: str) -> None:
        """Wait until what the body of a function returns in the page is this, or is right."""
        self.is_soon(lambda: self.run(script), wanted, what)

    def focuses(self, words: str) -> None:
        """Wait until what has the focus is called so."""
        self.is_soon(self.focused, lambda found: words in found, f"the focus on {words!r}")

    def is_at(self, words: str) -> None:
        """Wait until the address contains these words."""
        self.is_soon(lambda: self.url, lambda url: words in url, f"the address {words}")

    def shows(self, selector: str, words: str, seconds: float = SECONDS) -> str:
        """Wait until the first such element contains these words; its whole text."""
        self.until(
            lambda: words in (self.text(selector) or ""), f"{words!r} in {selector}", seconds
        )
        return self.text(selector) or ""

    # ------------------------------------------------------------------ what a person does

    def click(self, selector: str) -> None:
        self.until(lambda: self.text(selector) is not None, f"{selector} to be shown")
        self._send("POST", f"/element/{self._find(selector)}/click")

    def fill(self, selector: str, text: str) -> None:
        element = self._find(selector)
        self._send("POST", f"/element/{element}/clear")
        self._send("POST", f"/element/{element}/value", {"text": text})

    def _find(self, selector: str) -> str:
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def press(self, *keys: str) -> None:
        """Keys one after the other; "Shift+Tab" holds the first one."""
        actions: list[dict[str, str]] = []
        for key in keys:
            chord = [KEYS.get(part, part) for part in key.split("+")] if len(key) > 1 else [key]
            actions += [{"type": "keyDown", "value": part} for part in chord]
            actions += [{"type": "keyUp", "value": part} for part in reversed(chord)]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._send("POST", "/actions", {"actions": [source]})

    def focused(self) -> str:
        """What has the focus, as tag, id and words."""
        script = (
            "const e = document.activeElement;"
            "return [e.tagName.toLowerCase(), e.id && '#' + e.id, e.getAttribute('aria-label')"
            " ?? e.textContent.trim().slice(0, 60)].filter(Boolean).join(' ')"
        )
        return str(self.run(script))

    # ------------------------------------------------------------------ what went on

    def console(self) -> list[str]:
        """What the page's console got since the last time, from warnings on."""
        entries = self._send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requested(self) -> list[str]:
        """The addresses of all requests and WebSockets since the last time."""
        found = []
        for entry in self._send("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                found.append(message["params"]["url"])
        return found


@contextmanager
def chromedriver(log: Path) -> Iterator[str]:
    """A driver on a free port; its address."""
    assert DRIVER is not None
    process = subprocess.Popen(
        [DRIVER, "--port=0", f"--log-path={log}"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = next((p for line in process.stdout if (p := _port(line)) is not None), None)
        assert port is not None, f"chromedriver did not start: {log.read_text()}"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def _port(line: str) -> int | None:
    found = re.search(r"started successfully on port (\d+)", line)
    return int(found[1]) if found else None
