// Refreshes what changes, and lets time pass. Every page works without it.
const doc = document, { live, every, now } = doc.body.dataset;
const one = (css) => doc.querySelector(css);
const all = (css) => doc.querySelectorAll(css);
const on = addEventListener;
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

// Time passes, by the server's clock.

const skew = Date.parse(now) - Date.now();
const clock = () => Date.now() + skew;
const span = (s) => s < 60 ? s + " s" : s < 3600 ? (s / 60 | 0) + " min" : s < 172800 ? (s / 3600 | 0) + " h" : (s / 86400 | 0) + " days";
const ago = (at) => {
  const s = Math.round((clock() - at) / 1000);
  return s > 0 ? `${span(s)} ago` : s ? `in ${span(-s)}` : "now";
};
const status = one("#status"), read = one("#read-at");
let readAt = read && Date.parse(read.dateTime), shownAt = readAt, held, stale = status.matches(".stale"), errors = 0, paused, etag, timer, busy;

const tick = () => {
  for (const node of all("time[data-ago]")) {
    const at = Date.parse(node.dateTime);
    if (Math.abs(clock() - at) < 5184e6) write(node, ago(at));
    node.dataset.ago ||= node.title += `\n${new Date(at).toLocaleString()} here`;
  }
  if (!read) return;
  const old = stale || errors;
  status.classList.toggle("stale", old);
  write(one(".word"), old ? "not updated since" : "updated");
  write(read, old || held ? new Date(shownAt).toLocaleTimeString() : ago(shownAt));
  one("#held").hidden = !held;
};

// Parts are replaced, but not while they are in use.

const come = {}; // not shown yet, by part
const used = (part) => {
  const focus = doc.activeElement, chosen = getSelection();
  return part !== focus && part.contains(focus) || part.matches(":active") || part.querySelector("details[open], input:checked")
    || !chosen.isCollapsed && part.contains(chosen.anchorNode);
};
const show = () => {
  held = false;
  for (const part of all("[data-part]")) {
    const name = part.dataset.part, fresh = doc.createElement("template");
    if (!(name in come) || used(part) && (held = true)) continue;
    fresh.innerHTML = come[name]; // from our live route
    delete come[name];
    // Not read out again without need.
    if (part.ariaLive && fresh.content.textContent.trim() === part.textContent.trim()) continue;
    part.replaceChildren(fresh.content);
  }
  if (!held) shownAt = readAt;
  tick();
};

const refresh = async () => {
  clearTimeout(timer);
  if (!live || busy || paused || doc.hidden) return;
  busy = true;
  try {
    const answer = await fetch(live, { headers: { "If-None-Match": etag }, signal: AbortSignal.timeout(15e3) });
    if (answer.status !== 304) {
      if (!answer.ok) throw 0;
      const found = await answer.json();
      etag = answer.headers.get("ETag");
      stale = found.stale;
      readAt = Date.parse(found.at) || readAt;
      Object.assign(come, found.parts);
      for (const field of all("[name=csrf_token]")) field.value = found.csrf;
    } else if (!stale) readAt = clock();
    errors = 0;
  } catch {
    errors++;
  }
  busy = false;
  show();
  timer = setTimeout(refresh, every * 1000 * 2 ** Math.min(errors, 5) * (.85 + Math.random() * .3));
};
const pause = one("#pause");
if (pause) {
  pause.hidden = false;
  pause.onclick = () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    refresh();
  };
  timer = setTimeout(refresh, every * 1000);
}
on("visibilitychange", refresh);
on("focusout", () => setTimeout(show));
setInterval(tick, 1000);
tick();

// Selecting.

const whole = one("#pick-all");
const count = () => {
  const picked = all(".pick :checked").length;
  whole.checked = picked === all(".pick input").length;
  whole.indeterminate = picked && !whole.checked;
  write(one("#pick-count"), `${picked} selected`);
};
if (whole) {
  whole.parentNode.hidden = false;
  whole.onchange = () => { for (const box of all(".pick input")) box.checked = whole.checked; };
  on("change", () => { count(); show(); });
  count();
}

// Copying; plain http has no clipboard.

for (const slot of all("[data-copy]")) {
  const button = doc.createElement("button");
  const say = (text) => { button.textContent = text; button.ariaLabel = `${text} ${slot.title}`; };
  button.onclick = async () => {
    const text = one("#" + slot.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = doc.createElement("textarea");
      slot.append(area);
      area.value = text;
      area.select();
      doc.execCommand("copy");
      area.remove();
      button.focus();
    }
    say("Copied");
    setTimeout(say, 2000, "Copy");
  };
  say("Copy");
  slot.append(button);
}

// Forms and keys.

const themes = one("#themes");
if (themes) themes.onsubmit = async (event) => {
  event.preventDefault();
  const { submitter } = event, body = new URLSearchParams(new FormData(themes, submitter));
  const { type } = await fetch(themes.action, { method: "POST", redirect: "manual", body }).catch(() => 0);
  if (type !== "opaqueredirect") { // so that one sees why
    themes.onsubmit = null;
    return submitter.click();
  }
  doc.documentElement.dataset.theme = body.get("theme");
  for (const button of all("[name=theme]")) button.ariaPressed = button === submitter;
};
let sent; // what it does: a refresh may bring the same button again
on("submit", (event) => {
  const { target, submitter } = event, does = submitter.formAction + submitter.value;
  if (target.method !== "post" || event.defaultPrevented) return;
  if (sent === does) return event.preventDefault();
  sent = does;
  setTimeout(() => submitter.disabled = true); // once its value has been taken
  setTimeout(() => sent = submitter.disabled = false, 1e4); // it may have been stopped
});
on("pageshow", (event) => event.persisted && location.reload());
setTimeout(() => one("[data-continue] button")?.click(), 300);
const search = one("[data-search]");
if (search) on("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
  event.preventDefault();
  search.focus();
});
