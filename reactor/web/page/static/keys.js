/* Getting about: a key for each part of the page, and a mark at the part that is in sight. */
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const parts = [...document.querySelectorAll(".panel")];
  // Parts stand side by side: where the keys have led is known by the focus, else by what has been scrolled past.
  function current() {
    const at = parts.findIndex((part) => part.contains(document.activeElement));
    return at >= 0 ? at : parts.findLastIndex((part) => part.getBoundingClientRect().top < 160);
  }
  function go(part) {
    if (!part) return;
    part.scrollIntoView({ block: "start" });
    const title = part.querySelector("h2");
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
  }
  document.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.altKey || !one(".board")) return;
    if (event.target.closest("input, textarea, select") || document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (/^[1-9]$/.test(key)) go(parts[key - 1]);
    else if (key === "j") go(parts[Math.min(current() + 1, parts.length - 1)]);
    else if (key === "k") go(parts[Math.max(current() - 1, 0)]);
    else if (key === "a") go(one("#waiting"));
    else if (key === "p") one("#kill button")?.focus();
    else if (key === "s") one("#ask-text")?.focus();
    else if (key === "m" && one("#new-mission")) {
      one("#new-mission").open = true;
      one("#new-title").focus();
    } else if (key === "?") one("#keys").showModal();
    else return;
    event.preventDefault();
  });

  if ("IntersectionObserver" in window) {
    const links = new Map([...document.querySelectorAll(".places a")].map((link) => [link.hash.slice(1), link]));
    const watcher = new IntersectionObserver((seen) => {
      for (const entry of seen) links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
      const here = one(".places a.here");
      if (here) one(".places").scrollTo({ left: here.offsetLeft - 24 }); // on a phone it may be out of sight
    }, { rootMargin: "-20% 0px -60% 0px" });
    for (const part of parts) watcher.observe(part);
  }
})();
