/* What one would miss: that a panel goes on below its edge, and in another tab that somebody is waited for. */
"use strict";
(() => {
  const title = document.title;
  const MOST_BEHIND = 4; // px below the edge that are nothing to scroll for

  function behind(panel) {
    return panel.scrollHeight - panel.scrollTop - panel.clientHeight;
  }

  function hint(panel, button) {
    const more = behind(panel) > MOST_BEHIND;
    button.hidden = !more;
    if (!more) return;
    const edge = panel.getBoundingClientRect().bottom;
    const hidden = [...panel.querySelectorAll(".cards > li, .rows > li")].filter(
      (one) => one.getBoundingClientRect().top > edge - 8,
    ).length;
    button.firstElementChild.textContent = hidden ? `${hidden} more below` : "More below";
  }

  for (const button of document.querySelectorAll("[data-more]")) {
    const panel = document.getElementById(button.dataset.more).querySelector(".inside");
    const look = () => hint(panel, button);
    panel.addEventListener("scroll", look, { passive: true });
    new ResizeObserver(look).observe(panel);
    new MutationObserver(look).observe(panel, { childList: true, subtree: true, attributes: true, attributeFilter: ["open"] });
    button.addEventListener("click", () => panel.scrollBy({ top: panel.clientHeight * 0.8 }));
    look();
  }

  const count = () => document.querySelector("#bar [data-for-you]");
  function entitle() {
    const number = Number(count()?.dataset.forYou || 0);
    document.title = (number ? `(${number}) ` : "") + (document.querySelector("#live.off") ? "not live · " : "") + title;
  }
  const bar = document.querySelector("#bar");
  if (bar && count()) {
    new MutationObserver(entitle).observe(bar, { childList: true, subtree: true, characterData: true, attributes: true });
    entitle();
  }
})();
