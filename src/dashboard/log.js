// The log of a webhook and the page of a delivery, where a script runs: rows are selected all at once, and what is about
// to change refreshes by itself, without moving anything under its reader.
//
// A refresh fetches the page that is shown and takes parts of it. That is two calls of objects: one of the workspace's,
// which checks the session and reads the webhook, and one of the webhook's, which reads all the rest. The first 60
// refreshes are 5 s apart, which takes 300 s, and the others 12 s. So an hour has at most 60 + 3300 / 12 = 335 of them,
// which are 670 calls, and each hour after it 300, which are 600: below the 800 that an open tab may make.

const SOON_MS = 5_000;
const SOON_COUNT = 60;
const LATER_MS = 12_000;
const LONGEST_MS = 300_000;

const live = document.getElementById("live");
const note = document.createElement("span");
const news = document.createElement("button");
/** The newest answer, of which only what the reader has on the page is shown until they ask for the rest. @type {Document} */
let latest;

followSelection();
if (live) offerRefresh();

function followSelection() {
  const all = /** @type {HTMLInputElement} */ (document.querySelector("[data-select-all]"));
  if (!all) return;
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
  });
  document.addEventListener("change", countSelection);
  // Going back brings the boxes back as they were.
  addEventListener("pageshow", countSelection);
}

/** @returns {NodeListOf<HTMLInputElement>} */
function boxes() {
  return document.querySelectorAll(".log [name=ids]");
}

function countSelection() {
  const all = /** @type {HTMLInputElement} */ (document.querySelector("[data-select-all]"));
  const button = /** @type {HTMLButtonElement} */ (document.querySelector("button[name=selected]"));
  if (!all || !button) return;
  const selected = [...boxes()].filter((box) => box.checked).length;
  all.checked = selected > 0 && selected === boxes().length;
  all.indeterminate = selected > 0 && !all.checked;
  all.disabled = boxes().length === 0;
  button.disabled = selected === 0;
  button.textContent = selected === 0 ? "Resend selected" : `Resend ${selected} selected`;
}

function offerRefresh() {
  note.className = "muted";
  news.type = "button";
  news.className = "small";
  news.hidden = true;
  news.addEventListener("click", showNews);
  live.append(note, news);
  void keepFresh();
}

async function keepFresh() {
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-without-script]")))
    link.hidden = true;
  let failures = 0;
  for (let made = 0; "live" in live.dataset; made++) {
    if (failures === 0) note.textContent = "Refreshes by itself.";
    const pace = made < SOON_COUNT ? SOON_MS : LATER_MS;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pace * 2 ** failures, LONGEST_MS)));
    await untilSeen();
    let answer;
    try {
      answer = await fetch(addressShown(), { redirect: "manual" });
      if (isRefused(answer)) return stop(answer);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const text = await answer.text();
      latest = new DOMParser().parseFromString(text, "text/html");
      failures = 0;
    } catch {
      failures++;
      note.textContent = "This page could not be refreshed. It tries again.";
      continue;
    }
    update();
  }
  note.textContent = "";
}

/** Waits while the page is in a tab that nobody sees. */
function untilSeen() {
  if (!document.hidden) return Promise.resolve();
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      document.addEventListener("visibilitychange", function seen() {
        if (document.hidden) return;
        document.removeEventListener("visibilitychange", seen);
        resolve();
      });
    })
  );
}

/** The address of what the page shows, without what is looked up once; of a resend it shows the end too. */
function addressShown() {
  const address = new URL(location.href);
  address.hash = "";
  for (const once of ["id", "test", "created"]) address.searchParams.delete(once);
  const { resend } = document.getElementById("resend")?.dataset ?? {};
  if (resend) address.searchParams.set("resend", resend);
  return address;
}

/** Whether asking again would not help: the session has ended, or the webhook is gone. */
function isRefused(answer) {
  return answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status);
}

function stop(answer) {
  const isGone = answer.status === 404;
  note.textContent = isGone ? "This webhook does not exist any more." : "You are signed out: nothing is refreshed. ";
  if (!isGone) {
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Sign in";
    note.append(link);
  }
  say(note.textContent);
}

/** Says something aloud, once. */
function say(words) {
  const said = document.getElementById("said");
  if (said.textContent !== words) said.textContent = words;
}

function update() {
  const parts = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-fresh]"));
  for (const part of parts) refreshPart(part, latest.getElementById(part.id));
  const tidings = [...refreshRows(), ...newAttempts()];
  news.hidden = tidings.length === 0;
  const offered = `${tidings.join(", ")}, show`;
  if (!news.hidden && news.textContent !== offered) {
    news.textContent = offered;
    say(tidings.join(", "));
  }
  const { said } = document.getElementById("resend")?.dataset ?? {};
  if (said) say(said);
  live.toggleAttribute("data-live", latest.getElementById("live")?.hasAttribute("data-live") ?? false);
  countSelection();
  document.dispatchEvent(new Event("refreshed"));
}

/** Shows what has become of a part of the page. It stays as high as it was, so that what follows it stays in place. */
function refreshPart(part, fresh) {
  if (!fresh || bare(part) === bare(fresh)) return;
  const had = part.contains(document.activeElement);
  part.style.minHeight = `${part.offsetHeight}px`;
  part.className = fresh.className;
  Object.assign(part.dataset, fresh.dataset);
  replaceContent(part, fresh);
  if (had && !part.contains(document.activeElement)) part.focus({ preventScroll: true });
}

/** Shows what has become of each row; returns what the reader would see besides. */
function refreshRows() {
  const fresh = rowsOf(latest);
  const shown = rowsOf(document);
  const oldest = [...fresh.keys()].sort()[0];
  const goesOn = latest.querySelector("a[rel=next]") !== null;
  let gone = 0;
  for (const [key, row] of shown) {
    const next = fresh.get(key);
    if (next) refreshRow(row, next);
    else if (!goesOn || (oldest && key > oldest)) {
      row.classList.add("gone");
      gone++;
    }
  }
  const last = [...shown.keys()].sort()[0];
  const added = [...fresh.keys()].filter((key) => !shown.has(key) && (!last || key > last)).length;
  const more = goesOn && added > 0 && added === fresh.size ? "or more " : "";
  return [added > 0 && `${added} ${more}new`, gone > 0 && `${gone} no longer here`].filter(Boolean);
}

/** What the time line of a delivery has besides, which a reload shows. */
function newAttempts() {
  const [shown, fresh] = [document, latest].map(
    (page) => page.querySelectorAll(".timeline > .good, .timeline > .bad").length,
  );
  const added = fresh - shown;
  return added > 0 ? [`${added} new ${added === 1 ? "attempt" : "attempts"}`] : [];
}

/** The rows of a log by the addresses of their deliveries, which are in the order of their making. */
function rowsOf(page) {
  const rows = /** @type {NodeListOf<HTMLTableRowElement>} */ (page.querySelectorAll(".log tbody tr"));
  return new Map([...rows].map((row) => [row.querySelector("a[href*='/deliveries/']")?.getAttribute("href"), row]));
}

function refreshRow(row, fresh) {
  row.className = fresh.className;
  for (const [index, cell] of [...row.cells].entries()) {
    const next = fresh.cells[index];
    const selection = getSelection();
    const isMarked = !selection.isCollapsed && selection.containsNode(cell, true);
    if (!next || isMarked || bare(cell) === bare(next)) continue;
    const had = cell.contains(document.activeElement);
    cell.className = next.className;
    replaceContent(cell, next);
    if (had && !cell.contains(document.activeElement)) row.querySelector("a").focus({ preventScroll: true });
  }
}

/** Puts in what is new; the focus stays on what is still there, and a selected box selected. */
function replaceContent(element, fresh) {
  const stops = "a, button, input, summary";
  const index = [...element.querySelectorAll(stops)].indexOf(document.activeElement);
  const selected = [...element.querySelectorAll("input:checked")].map((box) => box.value);
  element.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
  select(element, selected);
  const focused = index < 0 ? null : element.querySelectorAll(stops)[index];
  focused?.focus({ preventScroll: true });
}

function select(element, values) {
  for (const box of element.querySelectorAll("input[name=ids]")) box.checked = values.includes(box.value);
}

/** What the relay wrote of an element, without what a script has made of its times and boxes. */
function bare(element) {
  const copy = element.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) {
    time.removeAttribute("title");
    time.textContent = "";
  }
  for (const box of copy.querySelectorAll("input")) box.removeAttribute("aria-label");
  return copy.innerHTML;
}

/** Shows the page of the log as it is by now, and goes to its first row. */
function showNews() {
  const [log, fresh] = [document, latest].map((page) => page.querySelector(".log tbody"));
  if (!log || !fresh) return location.reload();
  const selected = [...boxes()].filter((box) => box.checked).map((box) => box.value);
  log.replaceChildren(...[...fresh.children].map((row) => document.importNode(row, true)));
  select(log, selected);
  const [pages, newPages] = [document, latest].map((page) => page.querySelector(".pages"));
  if (pages) pages.replaceWith(newPages ? document.importNode(newPages, true) : "");
  else if (newPages) log.closest("table").after(document.importNode(newPages, true));
  news.hidden = true;
  countSelection();
  document.dispatchEvent(new Event("refreshed"));
  /** @type {HTMLElement} */ (log.querySelector("a")).focus();
}
