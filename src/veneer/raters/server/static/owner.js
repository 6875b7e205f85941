"use strict";
// The owner's page works without this file: it adds a button that copies links, and says when the
// numbers are not refreshed any more.
(function () {
  const stale = document.getElementById("stale");
  if (stale) {
    const show = (away) => () => { stale.hidden = !away; };
    for (const event of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
      document.body.addEventListener(event, show(true));
    }
    document.body.addEventListener("htmx:afterSwap", show(false));
  }
  const copy = document.getElementById("copy");
  const all = document.getElementById("all") || document.querySelector("input.link");
  if (copy && all) {
    const copied = document.getElementById("copied");
    const many = all.id === "all";
    copy.textContent = many ? "Copy all" : "Copy the link";
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      all.select();
      try {
        await navigator.clipboard.writeText(all.value.trim());
        copied.textContent = "Copied.";
      } catch {
        copied.textContent = "Selected: press Ctrl-C (on a Mac ⌘C) to copy.";
      }
    });
  }
})();
