"""A headless Chromium that is typed at and clicked in, over its debugging pipe: no driver, no library."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 60
_KEYS = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}


def chromium() -> str | None:
    """The program; ``None`` where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


class Page:
    """One tab; made by :func:`opened`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, os.fdopen(from_browser, "rb", buffering=0)
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        self.console: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the debugging protocol, and its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._from.read(2**16)
            if not more:
                raise RuntimeError("the browser is gone")
            self._rest += more
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        found = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.console.append(json.dumps(found["exceptionDetails"])[:500])
        elif event.get("method") == "Log.entryAdded":
            self.console.append(found["entry"]["text"])

    def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript is."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """The same as soon as it is true."""
        end = time.monotonic() + _SECONDS
        safely = f"(() => {{ try {{ return {script}; }} catch {{ return null; }} }})()"  # a page that is not there yet
        while not (found := self.value(safely)):
            if time.monotonic() > end:
                raise TimeoutError(f"{script}; the page says {self.value('document.body.innerText')!r}, {self.console}")
            time.sleep(0.05)
        return found

    def type(self, text: str) -> None:
        """Where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """A key, down and up."""
        code = _KEYS.get(key, ord(key[0].upper()))
        told = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **told, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def click(self, selector: str) -> None:
        """The middle of the first element of a CSS selector."""
        script = (
            "const found = document.querySelector(SELECTOR); found.scrollIntoView({ block: 'center' });"
            "const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2];"
        )
        box = self.value(f"(() => {{ {script.replace('SELECTOR', json.dumps(selector))} }})()")
        place = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **place)

    def screenshot(self, path: Path) -> None:
        """What is seen, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def opened(program: str, profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own."""
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()

    command = [
        "bash", "-c", f'exec 3<&{their_in} 4>&{their_out}; exec "$0" "$@"', program,
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--remote-debugging-pipe", f"--user-data-dir={profile}",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Page(our_out, our_in)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(our_out)
