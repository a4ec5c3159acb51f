// Head office: pages stay fresh, a slow answer shows, nothing is sent twice. Everything works without it too.
"use strict";
(() => {
  const EVERY = 15000, SLOW = 400, GIVE_UP = 10000;
  const away = document.getElementById("away");
  let since = null, busy = false;

  const clock = () => new Date().toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const lost = (why) => {
    since = since || clock();
    document.body.classList.add("stale");
    if (away) { away.textContent = why + " since " + since + ". What you see is as it was then; stores keep selling."; away.hidden = false; }
  };
  const found = () => {
    since = null;
    document.body.classList.remove("stale");
    if (away) away.hidden = true;
  };

  // The parts marked data-live are put in anew; one in which somebody is at work is left alone.
  const refresh = async () => {
    const parts = document.querySelectorAll("[data-live]");
    if (busy || !parts.length || document.hidden) return;
    busy = true;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), GIVE_UP);
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, signal: stop.signal, cache: "no-store" });
      if (answer.redirected || answer.status === 401) { location.reload(); return; }
      if (!answer.ok) { lost("Head office answers with a fault (" + answer.status + ")"); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        const at_work = part.contains(document.activeElement) && document.activeElement !== document.body;
        if (next && !at_work && !part.querySelector("details[open]")) part.replaceWith(next);
      }
      found();
    } catch (error) {
      lost("Head office does not answer");
    } finally {
      clearTimeout(timer);
      busy = false;
    }
  };
  setInterval(refresh, EVERY);
  window.addEventListener("online", refresh);
  document.addEventListener("visibilitychange", refresh);
  window.addEventListener("hq-refresh", refresh);

  // A page or an answer that takes long shows that it is on its way.
  let slow = null;
  const leaving = () => { slow = setTimeout(() => document.body.classList.add("slow"), SLOW); };
  window.addEventListener("pageshow", () => { clearTimeout(slow); document.body.classList.remove("slow"); for (const b of document.querySelectorAll("button[data-sent]")) { b.disabled = false; delete b.dataset.sent; } });
  window.addEventListener("beforeunload", leaving);
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    setTimeout(() => { for (const b of event.target.querySelectorAll("button")) { b.disabled = true; b.dataset.sent = ""; } }, 0);
  });

  // What was typed into a form that was refused stands there again. Passwords, keys (texts of many lines) and files are kept nowhere.
  const KEPT = "hq-typed";
  const typed = (form) => [...form.elements].filter((e) => e.name && e.matches("input, select") && !["hidden", "password", "file"].includes(e.type));
  const action = (form) => form.getAttribute("action");
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // What is confirmed by typing is typed again.
    if (form.method !== "post" || !form.classList.contains("form") || form.elements.confirm) return;
    const values = typed(form).map((e) => [e.name, e.type === "checkbox" || e.type === "radio" ? e.value : "", e.checked ?? false, e.value]);
    sessionStorage.setItem(KEPT, JSON.stringify({ action: action(form), kind: form.elements.kind?.value, values }));
  });
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
  sessionStorage.removeItem(KEPT);
  if (kept && document.querySelector(".note.bad")) {
    const form = [...document.forms].find((f) => action(f) === kept.action && f.elements.kind?.value === kept.kind);
    if (form) {
      for (const [name, choice, checked, value] of kept.values) {
        const field = typed(form).find((e) => e.name === name && (!choice || e.value === choice));
        if (field && choice) field.checked = checked;
        else if (field) field.value = value;
      }
      const folded = form.closest("details");
      if (folded) folded.open = true;
    }
  }

  // A link by mail has its code behind the #, which no server is sent.
  const code = document.querySelector("input[name=code]");
  if (code && location.pathname === "/choose-password" && location.hash.length > 1) {
    code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }

  // A file that is chosen fills the text field that it belongs to; it is never sent by itself.
  document.addEventListener("change", async (event) => {
    const field = event.target.dataset && event.target.dataset.into;
    const file = field && event.target.files && event.target.files[0];
    if (!file) return;
    const bytes = "bytes" in event.target.dataset;
    const base64 = async () => btoa(Array.from(new Uint8Array(await file.arrayBuffer()), (b) => String.fromCharCode(b)).join(""));
    document.getElementById(field).value = bytes ? await base64() : await file.text();
  });
})();
