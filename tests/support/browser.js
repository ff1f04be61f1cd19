// Drives a real Chromium as a person does, and watches what a person does not see: every request and every error.
//
// A page that sends a request to another origin, breaks its Content-Security-Policy or throws fails its test.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { chromiumProgram } from "../../scripts/setup.mjs";
import { createKey } from "./steps.js";

// Chromium's own background requests must not leave this machine.
const OPTIONS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
// Long enough for a busy machine; a page that never loads still fails.
const PATIENCE_MS = 20_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Error pages are expected too; Chromium logs their status.
const EXPECTED = /^Failed to load resource: the server responded with a status of 4\d\d/;

/** Starts Chromium; `stop()` ends it. */
export async function startBrowser() {
  const program = chromiumProgram();
  assert.ok(program, "Chromium is missing: run `npm test`, whose set-up installs it or says how");
  const browser = await chromium.launch({ executablePath: program, args: OPTIONS });
  return { open: (t, relay, options) => open(t, browser, relay, options), stop: () => browser.close() };
}

/**
 * A page in a new context, without cookies, until the test `t` ends. `script: false` switches JavaScript off.
 * `strangers`: origins other than the relay's that the test itself visits.
 */
async function open(
  t,
  browser,
  relay,
  { script = true, scheme = "light", width = 1280, zone = "UTC", locale = "en-US", strangers = [] } = {},
) {
  const context = await browser.newContext({
    baseURL: relay.origin,
    javaScriptEnabled: script,
    colorScheme: scheme,
    viewport: { width, height: 800 },
    timezoneId: zone,
    locale,
    permissions: script ? ["clipboard-read", "clipboard-write"] : [],
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error" && !EXPECTED.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  page.on("request", (request) => {
    const { origin } = new URL(request.url());
    if (origin !== relay.origin && !strangers.includes(origin)) complaints.push(`a request to ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  return page;
}

/** Signs in on the page with a new key of the workspace, with every scope unless `scopes` says which. */
export async function signInOn(page, relay, workspace, scopes) {
  const { key } = await createKey(relay, workspace, scopes);
  await page.goto("/sign-in");
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();
}

/** Asserts that a text is or soon becomes visible on the page. */
export async function assertSees(page, text) {
  await page.getByText(text).first().waitFor({ state: "visible" });
}

/** Asserts that axe-core finds no violation. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(found, [], what);
}

/** Asserts that nothing is wider than the window. */
export async function assertFits(page, what) {
  const surplus = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  assert.equal(surplus, 0, `${what} is ${surplus} px wider than the window`);
}
