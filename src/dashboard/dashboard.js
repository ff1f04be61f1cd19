// What a script does better: times in the reader's zone, copying, generated secrets.
// Every action works without it.

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", DAY],
  ["hour", HOUR],
  ["minute", MINUTE],
  ["second", 1_000],
];
const LANGUAGE = document.documentElement.lang;
const OWN_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const ZONE_KEPT = "zone";

let zone = readZone();
for (const chart of document.querySelectorAll("figure[data-bars]")) layBars(chart);
nameZone();
readTimeFields();
showTimes();
setInterval(showTimes, 1_000);
offerUtc();
offerCopies();
offerSecrets();
showBusyForms();
readHere();
forgetSecrets();
// `log.js` has put in what was new.
document.addEventListener("refreshed", showTimes);

/** The zone of every time on the page, shown or typed: the reader's own, or UTC if that was asked for. */
function readZone() {
  try {
    return localStorage.getItem(ZONE_KEPT) === "UTC" ? "UTC" : OWN_ZONE;
  } catch {
    return OWN_ZONE;
  }
}

function nameZone() {
  for (const name of document.querySelectorAll("[data-zone]")) name.textContent = zone;
}

function offerUtc() {
  const button = document.getElementById("zone");
  if (!button || OWN_ZONE === "UTC") return;
  const label = () => (button.textContent = zone === "UTC" ? `Show times in ${OWN_ZONE}` : "Show times in UTC");
  label();
  button.hidden = false;
  button.addEventListener("click", () => {
    zone = zone === "UTC" ? OWN_ZONE : "UTC";
    try {
      localStorage.setItem(ZONE_KEPT, zone === "UTC" ? "UTC" : "");
    } catch {
      // Not kept: the next page begins with the reader's zone.
    }
    label();
    nameZone();
    showTimes();
    for (const field of timeFields()) showInstant(field);
  });
}

/** Shows each time in the zone of the page, with its distance; the exact UTC stays on hover. */
function showTimes() {
  const exact = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "medium", timeZone: zone });
  const withinYear = new Intl.DateTimeFormat(LANGUAGE, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZone: zone,
  });
  const hours = new Intl.DateTimeFormat(LANGUAGE, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZone: zone,
  });
  const thisYear = new Date().getFullYear();
  for (const element of document.querySelectorAll("time")) {
    const at = new Date(element.dateTime);
    const isNear = Math.abs(at.getTime() - Date.now()) < 7 * DAY;
    // A table's columns stay narrow, so that its rows are easy to compare.
    const inTable = "brief" in element.dataset || element.closest("table") !== null;
    const { hours: length } = element.dataset;
    const words =
      "distance" in element.dataset
        ? distance(at)
        : length !== undefined
          ? hours.formatRange(at, new Date(at.getTime() + Number(length) * HOUR))
          : inTable
            ? (at.getFullYear() === thisYear ? withinYear : exact).format(at)
            : isNear
              ? `${exact.format(at)} (${distance(at)})`
              : exact.format(at);
    if (element.textContent !== words) element.textContent = words;
    element.title ||= element.dateTime.replace("T", " ").replace("Z", " UTC");
  }
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(".log [name=ids]")))
    nameBox(box);
}

/** Names the box of a row by its type and its time, as the row shows it. */
function nameBox(box) {
  const [type] = box.ariaLabel.split(",");
  const name = `${type}, ${box.closest("tr").querySelector("time").textContent}`;
  if (box.ariaLabel !== name) box.ariaLabel = name;
}

/** How far a time is from now, in units of which there are two at least: "in 119 minutes" says more than "in 1 hour". */
function distance(at) {
  const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
  const away = at.getTime() - Date.now();
  const [unit, length] = UNITS.find(([, milliseconds]) => Math.abs(away) >= 2 * milliseconds) ?? UNITS.at(-1);
  return relative.format(Math.trunc(away / length), unit);
}

/** @returns {NodeListOf<HTMLInputElement>} */
function timeFields() {
  return document.querySelectorAll("input[data-instant]");
}

/** Each field of a time shows it in the zone of the page, and its form sends the instant in UTC. */
function readTimeFields() {
  for (const field of timeFields()) {
    field.dataset.at = field.defaultValue && `${field.defaultValue}Z`;
    showInstant(field);
    field.addEventListener("input", () => readInstant(field));
    field.form.addEventListener("formdata", ({ formData }) => formData.set(field.name, field.dataset.at));
  }
}

function showInstant(field) {
  if (field.dataset.at) field.value = wallTime(Date.parse(field.dataset.at), zone);
  readInstant(field);
}

/** Reads the time in the field, and says what a change of the clocks does to it. */
function readInstant(field) {
  const instants = field.value ? instantsOf(field.value) : [];
  const kept = instants.find((instant) => instant === Date.parse(field.dataset.at));
  const chosen = kept ?? (field.dataset.instant === "last" ? instants.at(-1) : instants[0]);
  const typed = field.value.replace("T", " ");
  let words = "";
  if (field.value && chosen === undefined)
    words = `${typed} does not exist in ${zone}: the clocks go forward then. Choose an earlier or a later time.`;
  else if (instants.length > 1)
    words = `${typed} comes twice in ${zone}: the clocks go back then. This is the ${chosen === instants[0] ? "first" : "second"}, ${wallTime(chosen, "UTC").replace("T", " ")} UTC.`;
  field.dataset.at = chosen === undefined ? "" : new Date(chosen).toISOString();
  field.setCustomValidity(chosen === undefined ? words : "");
  const remark = document.getElementById(`${field.id}-clock`);
  if (remark.textContent !== words) remark.textContent = words;
}

/** The instants at which the clocks of the zone show a time: none while they go forward, two after they went back. */
function instantsOf(text) {
  const asUtc = Date.parse(`${text}Z`);
  const shown = (instant) => Date.parse(`${wallTime(instant, zone)}Z`);
  const candidates = [asUtc - DAY, asUtc + DAY].map((near) => asUtc - (shown(near) - near));
  const instants = [...new Set(candidates)].filter((instant) => shown(instant) === Math.trunc(asUtc / 1_000) * 1_000);
  return instants.sort((one, other) => one - other);
}

/** What the clocks of a zone show, as a field takes it: `2026-01-15T10:30:00`. */
function wallTime(instant, timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const digits = {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  };
  const format = new Intl.DateTimeFormat("en-GB", { ...digits, hourCycle: "h23", timeZone });
  const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
  const { year, month, day, hour, minute, second } = parts;
  return `${year.padStart(4, "0")}-${month}-${day}T${hour}:${minute}:${second}`;
}

/** Makes what a POST answered a page of its own address, so that a reload does not post again; and begins at its notice. */
function readHere() {
  const main = /** @type {HTMLElement} */ (document.querySelector("main[data-address]"));
  const { address } = main?.dataset ?? {};
  if (address && location.pathname !== address) history.replaceState(null, "", address + location.hash);
  // The browser itself does this only where the address names no place on the page.
  const notice = /** @type {HTMLElement} */ (document.querySelector("main [autofocus]"));
  notice?.focus({ preventScroll: location.hash !== "" });
}

/** Leaves no secret in a page that the browser may bring back. */
function forgetSecrets() {
  addEventListener("pagehide", () => {
    for (const secret of document.querySelectorAll("code.secret")) secret.textContent = "••••••••••••••••";
  });
}

function offerCopies() {
  const offers = document.querySelectorAll("[data-copy], [data-copy-from]");
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (offers)) {
    const label = button.innerHTML;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(await textOf(button, source));
        button.textContent = "Copied";
      } catch {
        // No clipboard (an insecure origin, a refusal): leave the text selected, ready for the keyboard.
        if (source) getSelection().selectAllChildren(source);
        button.textContent = source ? "Press Ctrl+C" : "Not copied: download it";
      }
      setTimeout(() => (button.innerHTML = label), 2_000);
    });
  }
}

/** What a button copies: a text of the page, the rows of a table as `name: value`, or a file, which may be longer. */
async function textOf(button, source) {
  if (!source) {
    const answer = await fetch(button.dataset.copyFrom);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.text();
  }
  if (!(source instanceof HTMLTableSectionElement)) return source.textContent;
  return [...source.rows].map(({ cells: [name, value] }) => `${name.textContent}: ${value.textContent}`).join("\n");
}

function offerSecrets() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-generate]"))) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const bytes = crypto.getRandomValues(new Uint8Array(32));
      const field = /** @type {HTMLInputElement} */ (document.getElementById(button.dataset.generate));
      field.value = `whsec_${btoa(String.fromCharCode(...bytes))}`;
      field.focus();
    });
  }
}

/** Submits a form only once, and shows progress while an endpoint is called. */
function showBusyForms() {
  for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form[method=post]"))) {
    form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      if (form.ariaBusy === "true") return event.preventDefault();
      form.ariaBusy = "true";
      const button = event.submitter;
      if (form.dataset.busy && button) {
        button.dataset.label = button.textContent;
        button.textContent = form.dataset.busy;
      }
    });
  }
  // Going back shows the page as it was left, still busy.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[aria-busy]")) {
      form.ariaBusy = null;
      for (const button of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-label]")))
        button.textContent = button.dataset.label;
    }
  });
}

/**
 * Lays a link over each bar of a chart: the row of the table that tells the same, whose values it shows. All of them are
 * one tab stop, in which the arrow keys move.
 */
function layBars(chart) {
  const table = chart.parentElement.querySelector("table");
  const names = [...table.tHead.rows[0].cells].map(({ textContent }) => textContent);
  const places = Number(chart.dataset.bars);
  const bars = document.createElement("ol");
  bars.className = "bars";
  bars.ariaLabel = "Bars";
  bars.style.gridTemplateColumns = `repeat(${places}, minmax(0, 1fr))`;
  const { dateTime: start } = chart.querySelector(".ticks time");
  for (const row of table.tBodies[0].rows) {
    const time = row.querySelector("time");
    const place = (Date.parse(time.dateTime) - Date.parse(start)) / HOUR / Number(time.dataset.hours);
    const bar = bars.appendChild(document.createElement("li"));
    bar.style.gridColumn = String(place + 1);
    bar.classList.toggle("late", place >= places / 2);
    const link = bar.appendChild(row.querySelector("a").cloneNode());
    link.tabIndex = -1;
    const tip = link.appendChild(document.createElement("span"));
    tip.className = "tip";
    tip.appendChild(document.createElement("b")).append(time.cloneNode(true));
    for (const [index, { textContent }] of [...row.cells].entries())
      if (index > 0)
        tip.appendChild(document.createElement("span")).textContent = `${names[index]}: ${textContent.trim()}`;
  }
  const links = /** @type {HTMLAnchorElement[]} */ ([...bars.querySelectorAll("a")]);
  links.at(-1).tabIndex = 0;
  bars.addEventListener("focusin", ({ target }) => {
    for (const link of links) link.tabIndex = link === target ? 0 : -1;
  });
  bars.addEventListener("keydown", (event) => {
    const at = links.indexOf(/** @type {HTMLAnchorElement} */ (event.target));
    const wanted = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    links[wanted]?.focus();
  });
  // What is shown on hover must not be in the way: Escape puts it away until the next bar.
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") bars.dataset.quiet = "";
  });
  for (const begins of ["pointerover", "focusin"]) bars.addEventListener(begins, () => delete bars.dataset.quiet);
  chart.append(bars);
  for (const words of chart.parentElement.querySelectorAll("[data-with-script]")) words.hidden = false;
}
