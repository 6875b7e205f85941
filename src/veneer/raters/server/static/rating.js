// Keys, focus and failures of the rating page. Without this script its forms work as they are.
"use strict";

(() => {
  const BUTTONS = {
    1: 'button[name="choice"][value="1"]',
    0: 'button[name="choice"][value="0"]',
    2: 'button[name="choice"][value="2"]',
    u: ".undo button",
  };
  const main = document.getElementById("main");
  const said = document.getElementById("said");
  const toggle = document.getElementById("keys");

  // Keys: each presses its button. They can be switched off, for those who dictate.
  function remembered(on) {
    try {
      if (on === undefined) return localStorage.getItem("keys") !== "off";
      localStorage.setItem("keys", on ? "on" : "off");
    } catch {
      // In a frame the browser may keep nothing: then keys are on, as at first.
    }
    return on ?? true;
  }

  function setKeys(on) {
    toggle.setAttribute("aria-pressed", String(on));
    document.documentElement.classList.toggle("keys", on);
  }

  toggle.hidden = false;
  setKeys(remembered());
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    remembered(on);
    setKeys(on);
  });

  document.addEventListener("keydown", (event) => {
    if (toggle.getAttribute("aria-pressed") !== "true") return;
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    // French keyboards have digits behind Shift: there the place of the key counts too.
    const key = BUTTONS[event.key] ? event.key : /^Digit([012])$/.exec(event.shiftKey ? "" : event.code)?.[1];
    const button = key && main.querySelector(BUTTONS[key]);
    if (!button) return;
    event.preventDefault();
    button.click();
  });

  // The second click of a double click would vote on the next pair, unseen.
  document.addEventListener(
    "click",
    (event) => {
      if (event.detail > 1 && event.target.closest("form button")) {
        event.preventDefault();
        event.stopPropagation();
      }
    },
    true,
  );

  // What scrolls must be reached by keyboard.
  function reachable() {
    for (const box of main.querySelectorAll(".said pre, .said .table")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }

  reachable();
  addEventListener("resize", reachable);

  document.addEventListener("htmx:afterSwap", () => {
    reachable();
    const heading = main.querySelector("h1");
    scrollTo({ top: 0, behavior: "instant" });
    heading?.focus({ preventScroll: true });
    said.textContent = main.firstElementChild?.dataset.said ?? "";
  });

  function trouble(text) {
    const place = document.getElementById("trouble");
    if (!place) return;
    place.textContent = text;
    place.hidden = false;
  }

  const AGAIN = "Nothing you wrote is lost: press the button again.";
  document.addEventListener("htmx:beforeRequest", () => {
    const place = document.getElementById("trouble");
    if (place) place.hidden = true;
  });
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 429) trouble(`That was too fast, and was not saved. Wait a few seconds. ${AGAIN}`);
    else if (status === 503) trouble(`The study cannot save anything just now. Wait a minute. ${AGAIN}`);
    else trouble(`The server could not do that (error ${status}); it was not saved. ${AGAIN}`);
  });
  const unreached = () => trouble(`The server cannot be reached. Is the connection down? ${AGAIN}`);
  document.addEventListener("htmx:sendError", unreached);
  document.addEventListener("htmx:timeout", unreached);
})();
