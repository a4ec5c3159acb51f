// The operator's page stays fresh, and nothing is sent twice. Everything works without it too.
"use strict";
(() => {
  const EVERY = 10000, GIVE_UP = 8000, GATHER = 250;
  const away = document.getElementById("away");
  let busy = false, again = false, planned = null, stream = null;

  const lost = () => { if (away) away.hidden = false; document.body.classList.add("stale"); };
  const found = () => { if (away) away.hidden = true; document.body.classList.remove("stale"); };

  // A part marked data-live is put in anew. Whoever stands on a link or button in it stands there afterwards too; a
  // part in which somebody types or has unfolded something is left alone.
  const put = (part, next) => {
    const at = document.activeElement;
    const within = part.contains(at) && at !== document.body;
    if (within && at.matches("input, select, textarea")) return;
    if (part.querySelector("details[open]")) return;
    if (part.isEqualNode(next)) return;
    const id = within ? at.id : "";
    part.replaceWith(next);
    const back = id && document.getElementById(id);
    if (back) back.focus({ preventScroll: true });
  };

  const refresh = async () => {
    const parts = document.querySelectorAll("[data-live]");
    if (!parts.length || document.hidden) return;
    if (busy) { again = true; return; }
    busy = true;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), GIVE_UP);
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, signal: stop.signal, cache: "no-store" });
      if (!answer.ok) { lost(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        if (next) put(part, document.adoptNode(next));
      }
      found();
    } catch (error) {
      lost();
    } finally {
      clearTimeout(timer);
      busy = false;
      if (again) { again = false; soon(); }
    }
  };

  // What happens at once is shown at once.
  const soon = () => {
    if (planned) return;
    planned = setTimeout(() => { planned = null; refresh(); }, GATHER);
  };
  const listen = () => {
    if (document.hidden) { if (stream) stream.close(); stream = null; return; }
    if (stream || !document.querySelector("[data-live]")) return;
    stream = new EventSource("/operator/events");
    stream.onmessage = soon;
    stream.onerror = soon;
  };
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", () => { listen(); refresh(); });
  window.addEventListener("pagehide", () => { if (stream) stream.close(); stream = null; });
  window.addEventListener("pageshow", () => {
    listen();
    for (const button of document.querySelectorAll("button[data-sent]")) { button.disabled = false; delete button.dataset.sent; }
  });

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    setTimeout(() => { for (const button of event.target.querySelectorAll("button")) { button.disabled = true; button.dataset.sent = ""; } }, 0);
  });
})();
