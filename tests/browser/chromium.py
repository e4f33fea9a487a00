"""Chromium without a window, spoken to by the DevTools protocol: what a person sees, clicks and types.

A page waits for what it is asked for. A click is the mouse's, at a place where nothing covers the element.
Nothing but loopback can be reached.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.2
NAMES = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = [
    "--headless",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
]

# The innermost visible elements of a selector that say a text, or have it in what they say.
_FIND = """
(selector, text, whole) => {
  const shown = (e) => { const b = e.getBoundingClientRect();
    return b.width > 0 && b.height > 0 && getComputedStyle(e).visibility !== "hidden"; };
  const said = (e) => (e.placeholder || e.innerText || e.textContent || "").trim();
  const fits = (e) => shown(e) && (whole ? said(e) === text : said(e).includes(text));
  const found = [...document.querySelectorAll(selector)].filter(fits);
  return found.filter((e) => !found.some((other) => other !== e && e.contains(other)));
}
"""
# The middle of the first of them that is enabled and uncovered.
_PLACE = """
(elements) => {
  for (const element of elements) {
    element.scrollIntoView({block: "center", inline: "nearest"});
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(x, y);
    const clear = top && (element.contains(top) || top.contains(element));
    if (clear && !element.closest(":disabled")) return [x, y];
  }
  return null;
}
"""


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self.resize(1400, 900)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol and its result. Raises RuntimeError for an answer that is an error."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:  # events come in between
            answer = json.loads(self._connection.recv(timeout=WAIT_SECONDS))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript. Raises RuntimeError where it throws."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{expression}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """To so many pixels of the page's, each `scale` of a picture's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def text(self) -> str:
        """All that can be read."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def sees(self, *texts: str) -> None:
        """Wait until all of them can be read."""

        def missing() -> list[str]:
            text = self.text()
            return [wanted for wanted in texts if wanted not in text]

        self._wait(lambda: not missing(), lambda: f"{missing()} not seen")

    def click(self, text: str, selector: str = "*", *, whole: bool = True) -> None:
        """Click the element that says `text`, once it is there, stands still and nothing covers it."""
        elements = f"({_FIND})({json.dumps(selector)}, {json.dumps(text)}, {json.dumps(whole)})"
        places: list[list[float] | None] = [None]

        def stands_still() -> bool:
            places.append(self.evaluate(f"({_PLACE})({elements})"))
            return places[-1] is not None and places[-1] == places[-2]

        self._wait(stands_still, lambda: f"nothing to click says {text!r} ({selector})")
        x, y = places[-1] or (0.0, 0.0)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for event in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=event, x=x, y=y, button="left", clickCount=1)

    def write(self, text: str) -> None:
        """Type it where the focus is, and Enter."""
        self.call("Input.insertText", text=text)
        for event in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=event, key="Enter", windowsVirtualKeyCode=13)

    def screenshot(self, path: Path) -> None:
        """A picture of what is seen, as PNG, once nothing moves any more."""
        taken: list[str] = [""]

        def still() -> bool:
            taken.append(self.call("Page.captureScreenshot", format="png")["data"])
            return taken[-1] == taken[-2]

        self._wait(still, lambda: "a picture that stands still is not to be had")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(taken[-1]))

    def _wait(self, condition: Callable[[], bool], missing: Callable[[], str]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < until, f"{missing()} within {WAIT_SECONDS} s; there is:\n{self.text()}"
            time.sleep(POLL_SECONDS)


def _program() -> str:
    """The browser that is installed here, Debian's first; without one the test is skipped, and in CI it
    fails."""
    result = next(filter(None, map(shutil.which, NAMES)), None)
    if result is None:
        without = "no chromium is installed here"
        if os.environ.get("CI"):
            pytest.fail(without)
        pytest.skip(without)
    return result


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A browser with one page, and its end. profile: an empty directory of its own."""
    program = _program()
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it does not start as root with one
    log = profile / "chromium.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *_FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with connect(_page_address(process, profile, log), max_size=None) as connection:
            yield Page(connection)
    finally:
        process.terminate()
        process.wait(10)


def _page_address(process: subprocess.Popen[bytes], profile: Path, log: Path) -> str:
    """Where the first page is spoken to. Chromium writes the port that it chose into its profile."""
    port_file = profile / "DevToolsActivePort"
    until = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < until:
        port = port_file.read_text().partition("\n")[0] if port_file.exists() else ""
        targets = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=10).json() if port else []
        for target in targets:
            if target["type"] == "page":
                return str(target["webSocketDebuggerUrl"])
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{process.args!r} did not start:\n{log.read_text()}")
