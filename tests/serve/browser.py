"""Headless browser driven over the DevTools protocol, with a record of its requests and console messages."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "about:blank",
)
WITHIN_S = 60.0
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")


@dataclass
class Page:
    """One tab.

    Attributes:
        requests: URL of every request.
        console: Console messages and errors.
    """

    socket: ClientConnection
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    _sent: int = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; return its result."""
        self._sent += 1
        self.socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=WITHIN_S))
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(parameters)[:500])

    def value(self, expression: str) -> Any:
        """Evaluate an expression inside the page; a promise is awaited."""
        found = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a condition holds inside the page."""
        until = time.monotonic() + WITHIN_S
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until, f"{condition}: not within {WITHIN_S} s"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Navigate to a URL."""
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def size(self, width: int, height: int, *, dark: bool = False, still: bool = False) -> None:
        """Set the size of the window, the preferred colour scheme, and whether motion is reduced."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        media = [{"name": name, "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=media)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a real mouse event: mouseMoved, mousePressed or mouseReleased."""
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            written = {"text": text} if text and kind == "keyDown" else {}
            self.command(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **written
            )

    def downloads(self, folder: Path) -> None:
        """Save downloads in a folder."""
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def picture(self, file: Path) -> Path:
        """Save a screenshot of the whole page."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))
        return file


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Run a browser with one empty page for the duration of the block."""
    assert BROWSER is not None
    process = subprocess.Popen([BROWSER, *QUIET, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL)
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=WITHIN_S) as response:
            address = next(tab["webSocketDebuggerUrl"] for tab in json.load(response) if tab["type"] == "page")
        with connect(address, max_size=None, compression=None, proxy=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.command(f"{domain}.enable")
            yield page
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _port(file: Path, process: "subprocess.Popen[bytes]") -> int:
    until = time.monotonic() + WITHIN_S
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < until, f"{file.name}: not within {WITHIN_S} s"
        time.sleep(0.05)
    return int(file.read_text().split("\n")[0])
