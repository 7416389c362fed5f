"""A page in a headless browser, steered over the DevTools protocol, with all that it asked for and complained of."""

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
PATIENCE_S = 30.0
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")


@dataclass
class Page:
    """One tab.

    Attributes:
        requests: Every address that it asked for.
        complaints: What it wrote to its console, and its errors.
    """

    socket: ClientConnection
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _sent: int = 0

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command of the protocol."""
        self._sent += 1
        self.socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_S))
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(parameters)[:500])

    def value(self, expression: str) -> Any:
        """The value of an expression inside the page; a promise is waited for."""
        told = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a condition holds inside the page."""
        until = time.monotonic() + PATIENCE_S
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < until, f"{condition}: not within {PATIENCE_S} s"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def size(self, width: int, height: int, *, dark: bool = False, still: bool = False) -> None:
        """The size of the window, the light that its user prefers, and whether less motion."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        asked = [{"name": name, "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=asked)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A real event of the mouse: mouseMoved, mousePressed or mouseReleased."""
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release."""
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
        """Keep what is downloaded in a folder."""
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def picture(self, file: Path) -> Path:
        """The whole page as it is seen."""
        told = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(told["data"]))
        return file


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with one empty page, as long as the block lasts."""
    assert BROWSER is not None
    process = subprocess.Popen([BROWSER, *QUIET, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL)
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S) as reply:
            address = next(tab["webSocketDebuggerUrl"] for tab in json.load(reply) if tab["type"] == "page")
        with connect(address, max_size=None, compression=None, proxy=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.command(f"{domain}.enable")
            yield page
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _port(file: Path, process: "subprocess.Popen[bytes]") -> int:
    until = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < until, f"{file.name}: not within {PATIENCE_S} s"
        time.sleep(0.05)
    return int(file.read_text().split("\n")[0])
