// The charts of a webhook's activity: axes, values by hover and keyboard, bars that filter the log, and figures that
// count an event once.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { fillHours } from "../support/large_log.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitDelivery, awaitSettled, setUpWebhook } from "../support/steps.js";
import { objectFiles } from "../support/stored_state.js";

const HOUR = 3_600_000;
const VARS = { RETRY_SCHEDULE: "20ms,20ms,20ms,20ms,20ms" };

let relay;
let browser;
let scene;
let entry;
let persist;
const stops = [];
let works = true;
/** The hour since 1970 in which the past ones were filled. */
let present;
before(async () => {
  persist = await mkdtemp(path.join(tmpdir(), "relay-charts-"));
  const first = await startRelay({ vars: VARS, persist });
  try {
    scene = await setUpWebhook({ after: (stop) => stops.push(stop) }, first, () => ({ status: works ? 200 : 500 }));
    entry = await acceptForOne(first, scene.workspace);
    await awaitSettled(first, scene.workspace, entry);
  } finally {
    await first.stop();
  }
  const hour = (attempts, failed_attempts, durations) => ({
    delivered: attempts - failed_attempts,
    failed: failed_attempts > 0 ? 1 : 0,
    attempts,
    failed_attempts,
    durations,
  });
  present = Math.floor(Date.now() / HOUR);
  fillHours(objectFiles(persist, "WebhookObject"), scene.webhook.id, [
    [100, hour(7, 0, { 40: 7 })],
    [9, hour(50, 20, { 120: 30, 1500: 20 })],
    [5, hour(1, 0, { 80: 1 })],
  ]);
  [relay, browser] = await Promise.all([startRelay({ vars: VARS, persist }), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
  for (const stop of stops) await stop();
  if (persist) await rm(persist, { recursive: true, force: true });
});

/**
 * The page of the webhook, in a window and with a query.
 * @param {import("node:test").TestContext} t
 * @param {{ query?: string, zone?: string, script?: boolean, scheme?: string, width?: number }} [options]
 */
async function openPage(t, { query = "", ...window } = {}) {
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  await page.goto(`/settings/webhooks/${scene.webhook.id}${query}`);
  return page;
}

const chartOf = (page) => page.locator("figure.chart");
const barOf = (page, attempts) => chartOf(page).getByRole("link", { name: new RegExp(`\\bAttempts: ${attempts}\\b`) });
const figure = async (page, name) =>
  (
    await page
      .locator(".figures div", { has: page.getByText(name, { exact: true }) })
      .locator("dd")
      .textContent()
  ).trim();
const tipOf = (link) => link.locator(".tip").evaluate((tip) => getComputedStyle(tip).opacity);

/** How a zone's clocks show a time, as the charts do. */
const clock = (at, timeZone) =>
  new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    timeZone,
  }).format(at);

describe("the charts", () => {
  test("have numbers, durations and times on their axes, and one stands for its own height", async (t) => {
    const page = await openPage(t);
    const axes = chartOf(page).locator(".axis");
    assert.deepEqual(await axes.first().locator("span").allTextContents(), ["60", "40", "20", "0"]);
    assert.deepEqual(await axes.last().locator("span").allTextContents(), ["1.5 s", "1 s", "500 ms", "0"]);
    const ticks = chartOf(page).locator(".ticks time");
    assert.equal(await ticks.count(), 4);
    const first = new Date(await ticks.first().getAttribute("datetime"));
    assert.ok([23, 22].includes(present - first.getTime() / HOUR), String(first));
    assert.equal(await ticks.first().textContent(), clock(first, "UTC"));
    const name = await chartOf(page).getByRole("img").first().getAttribute("aria-label");
    assert.match(name, /^Last 24 hours: \d+ attempts succeeded, 20 failed\.$/);

    // Each bar is drawn from its foot upwards, in pixels: 50 of 60, and 1 of 60.
    const drawn = await chartOf(page)
      .locator("path.succeeded, path.failed")
      .evaluateAll((paths) =>
        paths.map((each) =>
          [...each.getAttribute("d").matchAll(/M\d+ (\d+)v-(\d+)/g)].map(([, ...pair]) => pair.map(Number)),
        ),
      );
    assert.deepEqual(drawn[0].slice(0, 2), [
      [112, 56],
      [112, 2],
    ]);
    assert.deepEqual(drawn[1], [[56, 37]]);
    const box = await chartOf(page).locator("svg.upper").boundingBox();
    assert.ok(Math.abs(box.height - 113) <= 1, `a unit is a pixel: ${box.height}`);
  });

  test("tell their values on hover, until Escape", async (t) => {
    const page = await openPage(t);
    const bar = barOf(page, 50);
    await bar.hover();
    await eventually(async () => (await tipOf(bar)) === "1");
    for (const words of [
      "Failed attempts: 20",
      "Delivered events: 30",
      "Failed events: 1",
      "p50: 120 ms",
      "p95: 1.5 s",
    ])
      await bar.getByText(words, { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await eventually(async () => (await tipOf(bar)) === "0");
    await chartOf(page).getByRole("link").nth(1).hover();
    await eventually(async () => (await tipOf(chartOf(page).getByRole("link").nth(1))) === "1");
  });

  test("are one tab stop, in which the arrow keys go from bar to bar", async (t) => {
    const page = await openPage(t);
    await page.getByRole("link", { name: "7 days" }).focus();
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    assert.match(await focused(), /Attempts: [1-9]/);
    await page.keyboard.press("Home");
    assert.match(await focused(), /Attempts: 50Failed attempts: 20/);
    await eventually(async () => (await tipOf(barOf(page, 50))) === "1");
    await page.keyboard.press("ArrowLeft");
    assert.match(await focused(), /Attempts: 50/);
    await page.keyboard.press("ArrowRight");
    assert.match(await focused(), /Attempts: 1Failed attempts: 0/);
    await page.keyboard.press("Tab");
    assert.equal((await focused()).trim(), "As a table");
    await page.keyboard.press("Shift+Tab");
    assert.match(await focused(), /Attempts: 1Failed/, "the bar that was left has the tab stop");
  });

  test("filter the log by the time of a bar, and keep the filter in force and the span", async (t) => {
    const page = await openPage(t, { query: "?status=delivered&type=alert.triggered" });
    await page.getByRole("link", { name: "7 days" }).click();
    await page.waitForURL(/chart=7d/);
    assert.match(page.url(), /status=delivered&type=alert\.triggered/);
    assert.equal(await chartOf(page).locator(".ticks time").count(), 7);
    await barOf(page, 7).click();
    await page.waitForURL(/since=/);
    const { searchParams } = new URL(page.url());
    const span = ["since", "until"].map((name) => Date.parse(searchParams.get(name)));
    const wanted = (present - 100) * HOUR;
    assert.ok(span[0] <= wanted && wanted < span[1] && span[1] - span[0] === 6 * HOUR, page.url());
    assert.deepEqual(
      ["status", "type", "chart"].map((name) => searchParams.get(name)),
      ["delivered", "alert.triggered", "7d"],
    );
    assert.equal(await page.getByRole("link", { name: entry.id }).count(), 0);
    // The last bar has the event of this test.
    await chartOf(page).getByRole("link").last().click();
    await page.getByRole("row").filter({ hasText: entry.id }).waitFor();
  });

  for (const [zone, script] of /** @type {[string, boolean][]} */ ([
    ["Asia/Kolkata", true],
    ["Asia/Kolkata", false],
  ]))
    test(`are a table too, ${script ? "in the reader's zone" : "without a script, in UTC"}`, async (t) => {
      const page = await openPage(t, { zone, script });
      assert.equal((await chartOf(page).getByRole("link").count()) > 0, script, "links on the bars");
      await page.getByText("As a table").click();
      const row = page.getByRole("row").filter({ hasText: "1.5 s" });
      const cells = await row.getByRole("cell").allTextContents();
      assert.deepEqual(
        cells.map((text) => text.trim()),
        ["30", "1", "50", "20", "120 ms", "1.5 s"],
      );
      const at = (present - 9) * HOUR;
      const shown = (await row.locator("time").textContent()).replace(/\s/g, " ");
      assert.ok(shown.startsWith(clock(at, script ? zone : "UTC")), shown);
      assert.equal(/UTC$/.test(shown), !script);
      await row.getByRole("link").click();
      await page.waitForURL(/since=/);
      assert.equal(Date.parse(new URL(page.url()).searchParams.get("since")), at);
    });

  for (const scheme of ["light", "dark"])
    for (const width of [1280, 390, 320])
      test(`are accessible and fit, ${scheme}, ${width} px wide`, async (t) => {
        const page = await openPage(t, { scheme, width, query: "?chart=7d" });
        await page.getByText("As a table").click();
        await barOf(page, 7).focus();
        await assertAccessible(page, "with a bar's values");
        await assertFits(page, "with a bar's values");
        const tip = await barOf(page, 7).locator(".tip").boundingBox();
        assert.ok(tip.x >= 0 && tip.x + tip.width <= width, JSON.stringify(tip));
      });
});

describe("the figures", () => {
  test("W5: count an event once after a resend, as it ended last, and every failed attempt", async (t) => {
    works = true;
    const own = await setUpWebhook(t, relay, () => ({ status: works ? 200 : 500 }));
    works = false;
    const failed = await acceptForOne(relay, own.workspace, alert());
    await awaitSettled(relay, own.workspace, failed);
    const page = await browser.open(t, relay);
    await signInOn(page, relay, own.workspace);
    const home = `/settings/webhooks/${own.webhook.id}`;
    const figures = async () => {
      await page.goto(home);
      const names = ["Delivered events", "Failed events", "Attempts", "Failed attempts"];
      return Promise.all(names.map((name) => figure(page, name)));
    };
    await eventually(async () => {
      assert.deepEqual(await figures(), ["0", "1", "6", "6"]);
      return true;
    });
    works = true;
    await page.goto(`${home}/deliveries/${failed.id}`);
    await page.getByRole("button", { name: "Resend" }).click();
    await assertSees(page, "The event is being resent.");
    await awaitDelivery(relay, own.workspace, failed, ({ status }) => status === "delivered");
    await eventually(async () => {
      assert.deepEqual(await figures(), ["1", "0", "7", "6"]);
      return true;
    });
    assert.match(
      await chartOf(page).getByRole("img").first().getAttribute("aria-label"),
      /: 1 attempt succeeded, 6 failed\./,
    );
  });
});
