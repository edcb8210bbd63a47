// Refreshes what changes, and lets time pass. Every page works without it.
const doc = document, { live, every, now } = doc.body.dataset;
const one = (css, within = doc) => within.querySelector(css);
const all = (css, within = doc) => [...within.querySelectorAll(css)];
const make = (tag) => doc.createElement(tag);
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
let readAt = read && Date.parse(read.dateTime), stale = status.classList.contains("stale"), errors = 0, paused, etag, timer, busy;

const tick = () => {
  for (const node of all("time[data-ago]")) {
    const at = Date.parse(node.dateTime);
    if (Math.abs(clock() - at) < 5184e6) write(node, ago(at));
    if (!node.dataset.ago) node.title += `\n${new Date(at).toLocaleString()} here`;
    node.dataset.ago = 1;
  }
  if (!read) return;
  const old = stale || errors > 0;
  status.classList.toggle("stale", old);
  write(one(".word"), old ? "not updated since" : "updated");
  write(read, old ? new Date(readAt).toLocaleTimeString() : ago(readAt));
};

// Parts are replaced, but not under the hands of who uses them.

const come = {}; // what has come and is not shown yet, by part
const used = (part) => {
  const focus = doc.activeElement, chosen = getSelection();
  return part !== focus && part.contains(focus) || part.matches(":active") || one("details[open], input:checked", part)
    || !chosen.isCollapsed && part.contains(chosen.anchorNode);
};
const show = () => {
  for (const part of all("[data-part]")) {
    const name = part.dataset.part, fresh = make("template");
    if (!(name in come) || used(part)) continue;
    fresh.innerHTML = come[name]; // from our own live route
    delete come[name];
    // What is read out when it changes must not change without need.
    if (part.ariaLive && fresh.content.textContent.trim() === part.textContent.trim()) continue;
    part.replaceChildren(fresh.content);
  }
  tick();
};

const refresh = async () => {
  clearTimeout(timer);
  if (!live || busy || paused || doc.hidden) return;
  busy = true;
  try {
    const answer = await fetch(live, { headers: { "If-None-Match": etag }, signal: AbortSignal.timeout(15000) });
    if (answer.status !== 304) {
      if (!answer.ok) throw answer.status;
      const found = await answer.json();
      etag = answer.headers.get("ETag");
      ({ stale } = found);
      readAt = Date.parse(found.at) || readAt;
      Object.assign(come, found.parts);
    } else if (!stale) readAt = clock();
    errors = 0;
  } catch {
    errors++;
  }
  busy = false;
  show();
  timer = setTimeout(refresh, every * 1000 * 2 ** Math.min(errors, 5) * (0.85 + Math.random() * 0.3));
};
const pause = one("#pause");
if (pause) {
  pause.hidden = false;
  pause.onclick = () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    tick();
    refresh();
  };
  timer = setTimeout(refresh, every * 1000);
}
doc.addEventListener("visibilitychange", refresh);
doc.addEventListener("focusout", () => setTimeout(show));
setInterval(tick, 1000);
tick();

// Selecting.

const whole = one("#pick-all");
const count = () => {
  const boxes = all(".pick input"), picked = boxes.filter((box) => box.checked).length;
  whole.checked = picked === boxes.length;
  whole.indeterminate = picked && !whole.checked;
  write(one("#pick-count"), `${picked} selected`);
};
if (whole) {
  whole.parentNode.hidden = false;
  whole.onchange = () => { for (const box of all(".pick input")) box.checked = whole.checked; };
  doc.addEventListener("change", () => { count(); show(); });
  count();
}

// Copying, also where the page came over plain http and has no clipboard.

for (const slot of all("[data-copy]")) {
  const button = make("button");
  const say = (text) => { button.textContent = text; button.ariaLabel = `${text} ${slot.title}`; };
  button.type = "button";
  button.onclick = async () => {
    const text = one("#" + slot.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea");
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

const themes = one("#themes"), { dataset } = doc.documentElement;
if (themes) themes.onsubmit = (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(themes, event.submitter));
  dataset.theme = body.get("theme");
  for (const button of all("button", themes)) button.ariaPressed = button === event.submitter;
  fetch(themes.action, { method: "POST", redirect: "manual", body });
};
doc.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = 1;
  setTimeout(() => { event.submitter.disabled = true; }); // once its value has been taken
});
addEventListener("pageshow", (event) => event.persisted && location.reload());
const next = one("[data-continue] button");
if (next) setTimeout(() => next.click(), 300);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
  const search = one("[data-search]");
  if (search) event.preventDefault();
  search?.focus();
});
