"""A person who works in the Dagster UI with a mouse and a keyboard: Chromium, driven by Playwright."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SIZE: ViewportSize = {"width": 1600, "height": 900}
RUN_SECONDS = 300
"""A limit for a hanging run."""
PAGE_SECONDS = 60
"""A limit for a hanging page."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Debian's Chromium; skips the test where it is not installed."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} does not exist: apt-get install chromium")
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@dataclass
class Person:
    """A signed-in person with one tab. Pictures of what is seen are made where `pictures` is a folder."""

    page: Page
    address: str
    pictures: Path | None = None

    def sign_in(self, key: str) -> None:
        """Opens the UI, is asked for a key, and gives it."""
        self.page.set_default_timeout(PAGE_SECONDS * 1000)
        self.page.goto(self.address)
        self.page.get_by_role("textbox").fill(key)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("link", name="Runs").first.wait_for()

    def open(self, path: str, size: ViewportSize = SIZE) -> None:
        """Follows a link to a page of the UI, in a window of that size."""
        self.page.set_viewport_size(size)
        self.page.goto(f"{self.address}{path}")

    def open_job(self, job: str) -> None:
        """Opens a job from the list of jobs."""
        self.page.get_by_role("link", name="Jobs").first.click()
        self.page.get_by_text(job, exact=True).first.click()

    def open_asset(self, *key: str) -> None:
        """Opens the page of an asset; the picture of its overview is complete then."""
        self.open(f"/assets/{'/'.join(key)}")
        self.page.get_by_role("tab", name="Overview").wait_for()

    def open_launchpad(self, job: str) -> None:
        """Opens the launchpad of a job of assets, where `remedy` says that it is."""
        self.open_job(job)
        self.choose(self.page.get_by_role("button", name="Materialize all"), "Open launchpad")
        expect(self._editor).to_contain_text("dry_run")

    def paste(self, configuration: str) -> None:
        """Replaces the configuration in the launchpad."""
        self._editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(configuration)

    def launch(self, button: str = "Materialize") -> None:
        """Presses the launchpad's button; the run's page opens."""
        self.press(button)
        self.page.wait_for_url(re.compile("/runs/[0-9a-f-]{36}"))

    def press(self, button: str) -> None:
        """Presses the button that was the last to appear."""
        pressed = self.page.get_by_role("button", name=button).last
        expect(pressed).to_be_enabled()
        pressed.click()

    def choose(self, button: Locator, entry: str) -> None:
        """Chooses an entry from the menu of the arrow beside a button."""
        expect(button).to_be_enabled()
        button.locator("xpath=following::button[1]").click()
        self.page.get_by_role("menuitem").filter(has_text=re.compile(f"^{entry}$")).click()

    def re_execute_from_failure(self) -> None:
        """Starts the run on the page again from where it failed."""
        before = self.page.url
        self.choose(self.page.get_by_role("button", name="Re-execute"), "From failure")
        self.page.wait_for_url(lambda url: url != before and "/runs/" in url)

    def run_ended(self) -> str:
        """The status of the run on the page, once it has ended."""
        status = self.page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
        status.wait_for(timeout=RUN_SECONDS * 1000)
        return status.inner_text()

    def open_failed_step(self, step: str) -> None:
        """Clicks on a failed step of the run on the page: its events are shown, its failure last."""
        errored = self.page.get_by_text("Errored (", exact=False)
        errored.locator(f"xpath=following::*[text()='{step}']").first.click()
        self.page.get_by_text("STEP_FAILURE").last.wait_for()

    def read_failure(self) -> dict[str, str]:
        """Opens the whole message of the failure that is shown, and returns its table."""
        self.page.get_by_text("View full message").last.click()
        dialog = self.page.get_by_role("dialog")
        table = dict(row.locator("td").all_inner_texts() for row in dialog.locator("tr").all())
        self.press("Done")
        return table

    def read_runbook(self, section: str) -> str:
        """Follows the last link to that section of the runbook; returns its first paragraph."""
        address = f"{self.address}/docs/runbook.md#{section}"
        with self.page.context.expect_page() as opened:
            self.page.get_by_role("link", name=address).last.click()
        runbook = opened.value
        expect(runbook).to_have_url(address)
        expect(runbook.locator(":target")).to_be_in_viewport()
        read = runbook.locator(":target + p").inner_text()
        runbook.close()
        return read

    def read_metadata(self) -> dict[str, str]:
        """The table of the metadata on an asset's overview."""
        self.page.get_by_text("Filter metadata keys").or_(
            self.page.get_by_placeholder("Filter metadata keys")
        ).first.wait_for()
        rows = [row.locator("td").all_inner_texts() for row in self.page.locator("tr").all()]
        return {cells[0]: cells[-1].strip() for cells in rows if cells}

    def picture(self, name: str, height: int | None = None) -> None:
        """Makes a picture of the page for the documentation; `height`: of the window, unset as it is."""
        if self.pictures is not None:
            size = self.page.viewport_size or SIZE
            self.page.set_viewport_size({"width": size["width"], "height": height or size["height"]})
            self.page.mouse.move(0, 0)
            self.page.wait_for_load_state("networkidle")
            self.page.wait_for_timeout(1500)  # animations
            self.page.screenshot(path=self.pictures / f"{name}.png")
            self.page.set_viewport_size(size)

    @property
    def _editor(self) -> Locator:
        return self.page.locator(".CodeMirror:visible").last
