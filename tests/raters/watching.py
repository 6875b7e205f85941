"""What a page in a browser does that it should not; and how the rating page is used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.sync_api import Locator, Page, expect

from veneer.records import Choice

LABELS: dict[Choice, str] = {1: "Output 1 is better", 0: "The same", 2: "Output 2 is better"}


def watched(page: Page, address: str, *, meant: tuple[str, ...] = ()) -> list[str]:
    """A list that fills with dialogs, console messages, errors, popups, other hosts' addresses.

    `meant`: words of console messages that are meant to come, such as a refusal's status.
    """
    seen: list[str] = []

    def console(said):
        if not any(words in said.text for words in meant):
            seen.append(f"console {said.text}")

    def asked(request):
        if not request.url.startswith(f"{address}/"):
            seen.append(f"request {request.url}")

    page.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", console)
    page.on("pageerror", lambda error: seen.append(f"error {error}"))
    page.on("popup", lambda popup: seen.append(f"popup {popup.url}"))
    page.on("request", asked)
    return seen


@dataclass
class AtWork:
    """A rater in a browser. `pressed`: the last choice on each item."""

    page: Page
    pressed: dict[str, Choice] = field(default_factory=dict)
    voted: int = 0

    def start(self, address: str) -> AtWork:
        """Open an invitation and press its button."""
        self.page.goto(address)
        self.page.get_by_role("button", name="Start").click()
        self.at(1)
        return self

    @property
    def item(self) -> str:
        """The pair in hand."""
        return self.page.locator("input[name=item]").input_value()

    def button(self, choice: Choice) -> Locator:
        """One of the three buttons."""
        return self.page.get_by_role("button", name=LABELS[choice])

    def heading(self, name: str) -> Locator:
        """The heading that begins so."""
        return self.page.get_by_role("heading", level=1, name=re.compile(f"^{name}"))

    def at(self, number: int) -> None:
        """Wait for the pair of this number."""
        expect(self.heading(f"Pair {number} of")).to_be_visible()
        self.page.wait_for_load_state("load")  # the scripts that keys need among it

    def click(self, choice: Choice) -> None:
        """Vote by a button."""
        self.pressed[self.item] = choice
        self.button(choice).click()
        self.voted += 1

    def key(self, choice: Choice) -> None:
        """Vote by a key."""
        self.pressed[self.item] = choice
        self.page.keyboard.press(str(choice))
        self.voted += 1

    def tap(self, choice: Choice) -> None:
        """Vote by a finger."""
        self.pressed[self.item] = choice
        self.button(choice).tap()
        self.voted += 1
