"""A page in headless Chromium, and what is wrong with it in words."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

_AXE = Path(os.environ.get("AXE") or Path(sys.prefix, "node_modules/axe-core/axe.min.js"))
_FAULTS = Path(__file__).with_name("faults.js").read_text(encoding="utf-8")
_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_CONTROLS = "a[href], button, summary, input, select, textarea, [tabindex='0']"
_REMEMBER = """
const all = [...document.querySelectorAll(arguments[0])];
window.controls = all.filter((e) => e.checkVisibility({ visibilityProperty: true }));
window.reached = new Set();
window.bare = new Set();
addEventListener("focusin", ({ target }) => {
  reached.add(target);
  const style = getComputedStyle(target);
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) bare.add(target);
});
return all.length;
"""
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


def lacking() -> str:
    """Return what is not installed that a window needs; empty if everything is."""
    needs = {
        "selenium (the extra browser)": importlib.util.find_spec("selenium"),
        "Chromium (Debian: chromium)": _CHROMIUM,
        "its driver (Debian: chromium-driver)": shutil.which("chromedriver"),
        "axe-core (make test brings it by npm)": _AXE.is_file(),
    }
    return ", ".join(name for name, there in needs.items() if not there)


class Window(contextlib.AbstractContextManager["Window"]):
    """A window whose width and theme can be set."""

    def __init__(self) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = _CHROMIUM or ""
        # Containers run tests as root, which Chromium's sandbox refuses.
        for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options, service)
        self.driver.set_script_timeout(300)  # of axe, on a busy machine

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def open(
        self, file: Path, width: int = 1400, theme: str = "light", media: str = "screen"
    ) -> None:
        """Open a page, with all that is folded unfolded."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._command("Emulation.setDeviceMetricsOverride", **size)
        wish = {"name": "prefers-color-scheme", "value": theme}
        self._command("Emulation.setEmulatedMedia", media=media, features=[wish])
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(file.resolve().as_uri())
        self.script("document.querySelectorAll('details').forEach((e) => { e.open = true; });")

    def faults(self) -> list[str]:
        """Return what does not fit, cannot be read, or is not accessible; what was asked for."""
        self.script(_AXE.read_text(encoding="utf-8"))
        options = {"runOnly": _RULES, "resultTypes": ["violations"], "preload": False}
        found = self.driver.execute_async_script(
            "axe.run(document, arguments[0]).then(arguments[1])", options
        )
        broken = [
            f"{each['id']}: {node['html'][:100]} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return [*self.script(_FAULTS), *broken, *said, *map("asked for {}".format, self._asked())]

    def unreached(self) -> list[str]:
        """Return the controls at which Tab does not arrive, or which do not show that it did."""
        for _ in range(self.script(_REMEMBER, _CONTROLS) + 2):
            self.press("Tab")
        words = """
        const told = (what) => (e) => `${what}: ${e.tagName} ${e.textContent.trim().slice(0, 30)}`;
        return [...controls.filter((e) => !reached.has(e)).map(told("not reached")),
                ...[...bare].map(told("without outline"))];
        """
        return list(self.script(words))

    def press(self, key: str) -> None:
        """Press and release a key: Tab, Enter or space."""
        code = {"key": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        self._command("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self._command("Input.dispatchKeyEvent", type="keyUp", **code)

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script and return what it returns."""
        return self.driver.execute_script(text, *arguments)

    def _command(self, name: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(name, arguments)

    def _asked(self) -> list[str]:
        """Return the addresses that the page has asked for, without its own."""
        entries = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        sent = [e["params"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        asked = [each["request"]["url"] for each in sent]
        own = (self.driver.current_url, "data:")
        return [url for url in asked if not url.startswith(own)]
