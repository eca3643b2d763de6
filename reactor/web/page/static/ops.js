/* The page, live. Everything here works without this file too, by links and forms; see reactor/web/page/__init__.py.

   Why an EventSource of our own and not htmx's extension: after an error that one makes a new EventSource, which has
   forgotten the last event's id, and with it what happened in between. */
"use strict";
(() => {
  const MOST_ROWS = 200;
  const MOST_KINDS = 4; // named where many events are told as one
  const GATHER_MS = 200; // events that come together ask for a panel once
  const ELSEWHERE_MS = 1500; // and for one that is not on the screen
  const LOOK_AGAIN_MS = 15000; // what no event tells: ages, heartbeats, a step that began
  const REPLAY_MOST_MS = 2200;
  const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // ---- morphing: what a person is at stays as it is

  const dirty = new WeakSet();
  document.addEventListener("input", (event) => {
    if (event.target.form) dirty.add(event.target.form);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target instanceof HTMLFormElement) dirty.add(event.detail.target); // it has been answered with more to fill in
  });
  const isAtWork = (node) => node === document.activeElement && node.matches("input, textarea, select");
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !isAtWork(old);
  const careful = {
    beforeNodeMorphed: (old) => !(old instanceof HTMLFormElement && dirty.has(old)) && !isAtWork(old),
    beforeAttributeUpdated: (name, node) => !(name === "open" && node instanceof HTMLDetailsElement),
    beforeNodeRemoved: (node) => !(node instanceof HTMLElement && node.dataset && "kept" in node.dataset),
  };

  function morph(place, html) {
    const scrolled = all("[tabindex]", place).filter((node) => node.scrollTop > 0 || isAtEnd(node))
      .map((node) => [node, isAtEnd(node) ? Infinity : node.scrollTop]);
    Idiomorph.morph(place, html, { morphStyle: "innerHTML", callbacks: careful });
    htmx.process(place);
    for (const [node, top] of scrolled) node.scrollTop = Math.min(top, node.scrollHeight);
    tick();
  }

  function isAtEnd(node) {
    return node.matches("#talk-scroll") && node.scrollHeight - node.scrollTop - node.clientHeight < 40;
  }

  // ---- panels

  const panels = all("[data-panel]");
  const onScreen = new Set(panels);
  const waiting = new Map(); // panel: its timer
  const asking = new Set();

  /* What is on the screen is asked for at once, the rest when there is time; nobody is asked twice at a time. */
  function want(place, soon) {
    const inMs = soon ? 0 : onScreen.has(place) ? GATHER_MS : ELSEWHERE_MS;
    const timer = waiting.get(place);
    if (timer && timer.at <= Date.now() + inMs) return;
    if (timer) clearTimeout(timer.id);
    waiting.set(place, { at: Date.now() + inMs, id: setTimeout(() => ask(place), inMs) });
  }

  async function ask(place) {
    waiting.delete(place);
    if (asking.has(place)) {
      want(place);
      return;
    }
    asking.add(place);
    await refresh(place);
    asking.delete(place);
  }

  async function refresh(place) {
    try {
      const answer = await fetch(`/ops/panel/${place.dataset.panel}`, { headers: { "HX-Request": "true" } });
      if (answer.redirected || answer.status === 401) location.reload(); // the session is over
      else if (answer.ok) morph(place, await answer.text());
    } catch {
      say("off", "no connection");
    }
  }

  function wantAll() {
    for (const place of panels) if (!("own" in place.dataset)) want(place, onScreen.has(place));
  }

  function concerned(kind) {
    return panels.filter((place) => {
      const watches = place.dataset.watches;
      return watches === "*" || (watches && watches.split(" ").some((start) => kind.startsWith(start)));
    });
  }

  // ---- the stream

  const board = one(".board");
  let stream = null;
  let place = board ? board.dataset.place : "";

  function listen() {
    if (stream) stream.close();
    stream = new EventSource(`/api/ops/stream?after=${encodeURIComponent(place)}`);
    stream.addEventListener("hello", (message) => {
      note(message);
      say("on", "live");
      wantAll();
    });
    stream.addEventListener("event", (message) => {
      note(message);
      const event = JSON.parse(message.data);
      show(event);
      for (const panel of concerned(event.kind)) want(panel);
      if (isAbout(event)) wantSheet();
    });
    stream.addEventListener("began", () => {
      for (const name of ["bar", "room", "talk", "missions", "queues"]) want(one(`[data-panel=${name}]`));
      wantSheet();
    });
    stream.addEventListener("gap", (message) => {
      note(message);
      const gap = JSON.parse(message.data);
      showGap(gap);
      for (const kind of Object.keys(gap.kinds)) for (const panel of concerned(kind)) want(panel);
      wantSheet();
    });
    stream.addEventListener("horizon", (message) => {
      note(message);
      want(one("[data-panel=bar]"));
    });
    stream.onerror = () => {
      say("off", "reconnecting");
      // The browser tries again by itself, unless the answer was an error; then we do.
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 1500);
    };
  }

  function note(message) {
    if (message.lastEventId) place = message.lastEventId;
  }

  function say(mood, text) {
    const sign = one("#live");
    if (!sign) return;
    sign.className = `live ${mood}`;
    sign.textContent = text;
    sign.title = mood === "on" ? "what happens appears by itself" : "what is missing comes once the connection is back";
    sign.dataset.kept = "";
    mark = { mood, text };
  }
  let mark = { mood: "", text: "connecting" };

  // ---- the feed: a row an event, replaced when it comes again as final

  const known = { minion: 0, sage: 1, scout: 2, quill: 3, xalt: 4, observer: 5, human: 8 };
  function hue(agent) {
    if (!agent) return 9;
    const seat = one(`#seat-${CSS.escape(agent)}`);
    const painted = seat && /\bc(\d)\b/.exec(seat.getAttribute("class"));
    return painted ? painted[1] : known[agent] ?? 6;
  }

  function show(event) {
    const rows = one("#feed-rows");
    if (!rows) return;
    const row = one("#feed-row").content.firstElementChild.cloneNode(true);
    row.dataset.event = event.id;
    const end = event.kind.split("_").pop();
    if (/^[a-z]+$/.test(end)) row.classList.add(`k-${end}`);
    if (!event.final) row.classList.add("provisional");
    const at = one("time", row);
    at.dateTime = event.created_at;
    at.dataset.clock = "";
    at.textContent = clock(event.created_at);
    one(".kind", row).textContent = event.kind.replaceAll("_", " ");
    one(".who", row).textContent = event.agent_id || "";
    one(".who", row).classList.add(`c${hue(event.agent_id)}`);
    const words = one(".words", row);
    words.textContent = event.title;
    if (event.summary) {
      const more = document.createElement("span");
      more.className = "faint";
      more.textContent = ` ${event.summary}`;
      words.append(more);
    }
    const before = one(`[data-event="${CSS.escape(String(event.id))}"]`, rows);
    if (before) before.replaceWith(row);
    else lay(rows, row);
  }

  function lay(rows, row) {
    row.classList.add("fresh");
    rows.prepend(row);
    const nothing = one("#feed .empty");
    if (nothing) nothing.remove();
    while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
  }

  /* More happened at once than can be shown: how many of which kind, and where they are. */
  function showGap(gap) {
    const rows = one("#feed-rows");
    if (!rows) return;
    for (const row of all(".provisional", rows)) row.classList.remove("provisional");
    const kinds = Object.entries(gap.kinds);
    const told = kinds.slice(0, MOST_KINDS).map(([kind, times]) => `${kind.replaceAll("_", " ")} ${times.toLocaleString()}`);
    if (kinds.length > MOST_KINDS) told.push(`${kinds.length - MOST_KINDS} kinds more`);
    const row = document.createElement("li");
    row.className = "event gap";
    const link = document.createElement("a");
    link.href = gap.url;
    link.textContent = `${gap.events.toLocaleString()} more`;
    row.append(link, ` ${told.join(" · ")}`);
    lay(rows, row);
  }

  // ---- times

  function clock(text) {
    return new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  }

  function span(seconds) {
    if (seconds < 60) return `${Math.round(seconds)} s`;
    if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
    return `${Math.round(seconds / 86400)} d`;
  }

  function tick() {
    for (const at of all("time[datetime]")) {
      if ("clock" in at.dataset) at.textContent = clock(at.dateTime);
      else if (/ago$|^now$|^in /.test(at.textContent)) {
        const seconds = (Date.now() - new Date(at.dateTime)) / 1000;
        at.textContent = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
      }
    }
    const sign = one("#live");
    if (sign && sign.textContent !== mark.text) say(mark.mood, mark.text);
  }

  // ---- sheets

  const sheet = one("#sheet");
  const inside = one("#sheet-inside");
  let from = null;

  async function open(address) {
    const answer = await fetch(address, { headers: { "HX-Request": "true" } });
    const html = await answer.text();
    if (answer.ok) {
      inside.innerHTML = "";
      morph(inside, html);
      if (!sheet.open) {
        from = document.activeElement;
        sheet.showModal();
      }
      sheet.scrollTop = 0;
    } else toast(html);
  }

  function isAbout(event) {
    const article = sheet && sheet.open && one("[data-about]", inside);
    if (!article || replaying) return false;
    const [key, value] = article.dataset.about.split(":");
    return key === "agent_id" ? event.agent_id === value : String((event.metadata || {})[key]) === value;
  }

  let sheetWanted = 0;
  function wantSheet() {
    if (!sheetWanted) sheetWanted = setTimeout(async () => {
      sheetWanted = 0;
      const article = sheet && sheet.open && one("[data-here]", inside);
      if (!article || replaying) return;
      const answer = await fetch(article.dataset.here, { headers: { "HX-Request": "true" } });
      if (answer.ok) morph(inside, await answer.text());
    }, GATHER_MS);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sheet]");
    if (!link || !sheet || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    open(link.getAttribute("href"));
  });
  if (sheet) {
    sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
    sheet.addEventListener("close", () => {
      replaying = false;
      if (from && from.isConnected) from.focus();
    });
  }

  // ---- replay: as it was spoken, pauses cut short

  let replaying = false;
  document.addEventListener("click", async (event) => {
    if (!event.target.closest("[data-replay]")) return;
    const turns = all(".turn", event.target.closest("article"));
    replaying = true;
    for (const turn of turns) turn.classList.add("unspoken");
    let last = null;
    for (const turn of turns) {
      const at = new Date(turn.dataset.at).getTime();
      const gap = last === null ? 200 : Math.min(at - last, REPLAY_MOST_MS);
      last = at;
      await new Promise((resume) => setTimeout(resume, Math.max(gap, STILL ? 700 : 350)));
      if (!replaying || !turn.isConnected) return;
      turn.classList.remove("unspoken");
      turn.scrollIntoView({ block: "nearest", behavior: STILL ? "auto" : "smooth" });
    }
    replaying = false;
  });

  // ---- forms, toasts

  function toast(html) {
    const box = one("#toasts");
    box.insertAdjacentHTML("beforeend", html);
    fade();
  }

  function fade() {
    for (const node of all("#toasts .toast:not([data-going])")) {
      node.dataset.going = "";
      setTimeout(() => node.remove(), node.classList.contains("trouble") ? 12000 : 5000);
    }
  }

  document.body.addEventListener("htmx:configRequest", (event) => {
    const word = one("meta[name=csrf]").content;
    if (word) event.detail.headers["X-CSRF-Token"] = word;
  });
  document.body.addEventListener("deed", () => {
    wantAll();
    wantSheet();
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.requestConfig.elt; // detail.elt is another one when who asked is gone
    if (event.detail.successful && form instanceof HTMLFormElement) {
      dirty.delete(form);
      for (const field of all("input:not([type=hidden]):not([name=name])", form)) field.value = "";
      const fold = form.closest("details");
      if (fold) {
        const within = fold.contains(document.activeElement);
        fold.open = false;
        if (within) one("summary", fold).focus();
      }
    }
    fade();
  });
  document.body.addEventListener("htmx:sendError", () => {
    toast('<p class="toast trouble" role="alert">the reactor could not be reached; nothing was done</p>');
  });

  // ---- what is on the screen

  if ("IntersectionObserver" in window) {
    const eyes = new IntersectionObserver((seen) => {
      for (const entry of seen) {
        const place = one("[data-panel]", entry.target) || entry.target;
        if (!entry.isIntersecting) onScreen.delete(place);
        else if (!onScreen.has(place)) {
          onScreen.add(place);
          if (waiting.has(place)) want(place, true);
        }
      }
    });
    for (const part of all(".panel")) eyes.observe(part);
  }

  // ---- begin

  tick();
  setInterval(tick, 1000);
  const talk = one("#talk-scroll");
  if (talk) talk.scrollTop = talk.scrollHeight;
  if (board) {
    say("", "connecting");
    listen();
    setInterval(() => {
      if (document.visibilityState !== "visible") return;
      for (const name of ["bar", "room", "queues", "health"]) want(one(`[data-panel=${name}]`));
    }, LOOK_AGAIN_MS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wantAll());
  }
})();
