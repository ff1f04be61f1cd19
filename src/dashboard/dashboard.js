// What a script does better: times in the reader's zone, copying, generated secrets, the progress of a bulk resend.
// Every action works without it.

const MINUTE = 60_000;
const POLL_MS = 1_000;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", MINUTE],
];

showTimes();
setInterval(showTimes, MINUTE / 2);
offerCopies();
offerSecrets();
showBusyForms();
for (const resend of document.querySelectorAll("[data-poll]")) followResend(resend);

/** The reader's zone and relative words; the exact UTC stays on hover. */
function showTimes() {
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const withinYear = new Intl.DateTimeFormat(undefined, {
    month: "short",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const element of document.querySelectorAll("time")) {
    const at = new Date(element.dateTime);
    const distance = at.getTime() - Date.now();
    const [unit, length] = UNITS.find(([, milliseconds]) => Math.abs(distance) >= milliseconds) ?? UNITS.at(-1);
    const words = Math.abs(distance) < MINUTE ? "this minute" : relative.format(Math.round(distance / length), unit);
    // A table's columns stay narrow, so that its rows are easy to compare.
    if (element.closest("table")) {
      element.textContent = (at.getFullYear() === new Date().getFullYear() ? withinYear : exact).format(at);
      continue;
    }
    const isNear = Math.abs(distance) < 7 * 86_400_000;
    element.textContent = isNear ? `${exact.format(at)} (${words})` : exact.format(at);
  }
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function offerCopies() {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copy]"))) {
    const label = button.innerHTML;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        // No clipboard (an insecure origin, a refusal): leave the text selected, ready for the keyboard.
        getSelection().selectAllChildren(source);
        button.textContent = "Press Ctrl+C";
      }
      setTimeout(() => (button.innerHTML = label), 2_000);
    });
  }
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

async function followResend(element) {
  const part = (name) => element.querySelector(`[data-bulk-resend=${name}]`);
  const progress = element.querySelector("progress");
  for (const link of element.querySelectorAll("[data-without-script]")) link.hidden = true;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const resend = await fetch(element.dataset.poll).then(
      (answer) => (answer.ok ? answer.json() : null),
      () => null,
    );
    if (resend === null) continue;
    progress.max = resend.total;
    progress.value = resend.done;
    for (const name of ["done", "total", "delivered", "failed"]) part(name).textContent = resend[name];
    if (resend.status === "running") continue;
    part("headline").textContent =
      resend.status === "finished" ? "The resend has finished." : "The resend was stopped.";
    for (const action of element.querySelectorAll("[data-bulk-resend=actions]")) action.remove();
    return;
  }
}
