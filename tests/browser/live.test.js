// A log that refreshes by itself: what is pending and what is resent, under the eyes of its reader, and not too often.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { startRelay } from "../support/relay.js";
import {
  acceptForOne,
  answered,
  awaitDelivery,
  awaitResend,
  awaitSettled,
  pathOf,
  setUpWebhook,
  startResend,
} from "../support/steps.js";

// A test holds attempts back for a moment.
const VARS = { RETRY_SCHEDULE: "1h", ATTEMPT_TIMEOUT: "12s" };
const SOON_MS = 5_000;
const SOON_COUNT = 60;
const LATER_MS = 12_000;
const HOUR_MS = 3_600_000;

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay({ vars: VARS }), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

const cancel = async (scene, { id }) =>
  answered(await relay.fetch(pathOf(scene, `/deliveries/${id}/cancel`), { method: "POST" }), 200);

/** An event that waits for its second attempt. */
async function acceptPending(scene) {
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, ({ next_attempt_at: next }) => next !== null);
  return entry;
}

/**
 * The page of a webhook with a failed and two pending events, whose clock a test moves, and how often it was fetched by
 * its script.
 */
async function openLive(t, { script = true } = {}) {
  const endpoint = { status: 500, waiting: null };
  const scene = await setUpWebhook(t, relay, () => {
    if (endpoint.waiting) return (response) => endpoint.waiting.push(response);
    return { status: endpoint.status };
  });
  const entries = [];
  for (let count = 0; count < 3; count++) entries.push(await acceptPending(scene));
  await cancel(scene, entries[0]);
  const page = await browser.open(t, relay, { script });
  await signInOn(page, relay, scene.workspace);
  const home = `/settings/webhooks/${scene.webhook.id}`;
  const asked = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (request.resourceType() === "fetch" && pathname === home) asked.push(pathname);
  });
  if (script) {
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 60_000);
  }
  await page.goto(home);
  const row = ({ id }) => page.getByRole("row").filter({ has: page.locator(`a[href*="/deliveries/${id}"]`) });
  return { ...scene, endpoint, entries, page, home, asked, row };
}

/** Lets the page take in what it was answered. */
async function settle(page) {
  for (let count = 0; count < 3; count++) await page.evaluate(() => Promise.resolve());
}

/** Moves the page's clock until its script has fetched the page once more. */
async function refresh({ page, asked }) {
  const before = asked.length;
  const fetched = page.waitForResponse((response) => response.request().resourceType() === "fetch");
  await page.clock.runFor(SOON_MS);
  await (await fetched).finished();
  await settle(page);
  assert.equal(asked.length, before + 1);
}

describe("W6: what is pending refreshes by itself", () => {
  test("and leaves the focus, the selected rows and the scroll where they are", async (t) => {
    const scene = await openLive(t);
    const { page, entries, endpoint, row } = scene;
    const [failed, pending] = entries;
    await row(failed).getByRole("checkbox").check();
    await row(pending).getByRole("link").first().focus();
    const place = async () => (await row(pending).boundingBox()).y;
    const before = await place();
    assert.match(await row(pending).textContent(), /Retrying/);
    endpoint.status = 200;
    answered(await relay.fetch(pathOf(scene, `/deliveries/${pending.id}/send-now`), { method: "POST" }), 202);
    await awaitSettled(relay, scene.workspace, pending);
    await refresh(scene);
    await row(pending).getByText("Delivered").waitFor();
    const focused = await page.evaluate(() => document.activeElement.outerHTML);
    assert.ok(focused.includes(pending.id), focused);
    assert.equal(await place(), before);
    assert.ok(await row(failed).getByRole("checkbox").isChecked());
    assert.ok(await row(pending).getByRole("checkbox").isVisible(), "what has ended can be selected");
    assert.match(await row(pending).getByRole("checkbox").getAttribute("aria-label"), /^alert\.triggered, \d/);
    assert.doesNotMatch(await row(pending).textContent(), /UTC/, "its times are those of the page's zone");
    await cancel(scene, entries[2]);
    await refresh(scene);
    await row(entries[2]).getByText("Failed").waitFor();
    await page.clock.runFor(60_000);
    assert.equal(scene.asked.length, 2, "nothing is pending: nothing is asked");
  });

  test("and says what is new, and shows it when asked", async (t) => {
    const scene = await openLive(t);
    const { page, entries, row } = scene;
    await row(entries[0]).getByRole("checkbox").check();
    const added = [await acceptPending(scene), await acceptPending(scene)];
    await refresh(scene);
    const show = page.getByRole("button", { name: "2 new, show" });
    await show.waitFor();
    assert.equal(await page.locator("#said").textContent(), "2 new");
    for (const entry of added) assert.equal(await row(entry).count(), 0);
    await show.click();
    for (const entry of [...entries, ...added]) assert.equal(await row(entry).count(), 1);
    assert.ok((await page.evaluate(() => document.activeElement.getAttribute("href"))).endsWith(added[1].id));
    assert.ok(await row(entries[0]).getByRole("checkbox").isChecked());
    assert.ok(await show.isHidden());
    const more = await acceptPending(scene);
    await refresh(scene);
    await page.getByRole("button", { name: "1 new, show" }).waitFor();
    assert.equal(await row(more).count(), 0);
    // axe waits by the page's clock.
    await page.clock.resume();
    await assertAccessible(page, "a log with news");
  });

  test("and marks what the filter does not let through any more", async (t) => {
    const scene = await openLive(t);
    const { page, entries, home, row } = scene;
    await page.goto(`${home}?status=pending`);
    await cancel(scene, entries[1]);
    await refresh(scene);
    await page.getByRole("button", { name: "1 no longer here, show" }).click();
    assert.equal(await row(entries[1]).count(), 0);
    assert.equal(await row(entries[2]).count(), 1);
  });

  test("by a link where no script runs", async (t) => {
    const scene = await openLive(t, { script: false });
    const { page, entries, row } = scene;
    await cancel(scene, entries[1]);
    await page.getByRole("link", { name: "Refresh" }).click();
    await row(entries[1]).getByText("Failed").waitFor();
  });
});

describe("W6: a page that refreshes by itself", () => {
  test("costs at most 800 calls of objects an hour", async (t) => {
    const { page, home } = await openLive(t);
    await page.addInitScript(() => {
      const ask = fetch;
      const times = [];
      Object.assign(globalThis, { times });
      globalThis.fetch = (address, options) => {
        times.push(Date.now());
        return ask(address, options);
      };
    });
    const answer = await page.goto(home);
    const body = await answer.text();
    await page.route("**/settings/webhooks/*", (route) => route.fulfill({ contentType: "text/html", body }));
    /** @type {number[]} */
    let times = [];
    while (times.length < SOON_COUNT + 5) {
      await page.clock.runFor(1_000);
      times = await page.evaluate(() => globalThis.times);
    }
    const gaps = times.slice(1).map((time, index) => time - times[index]);
    for (const [index, gap] of gaps.entries())
      assert.ok(gap >= (index < SOON_COUNT - 1 ? SOON_MS : LATER_MS), `${index}: ${gap} ms`);
    // Two calls each, as `tests/e2e/dashboard_calls.test.js` counts them.
    const most = SOON_COUNT + (HOUR_MS - SOON_COUNT * SOON_MS) / LATER_MS;
    assert.ok(2 * most <= 800, `${most} refreshes`);
  });

  test("stops where the session has ended, and leads back in", async (t) => {
    const scene = await openLive(t);
    const { page, asked } = scene;
    const links = `/v1/workspaces/${scene.workspace}/dashboard-links`;
    assert.equal((await relay.fetch(links, { method: "DELETE" })).status, 204);
    await refresh(scene);
    await assertSees(page, "You are signed out: nothing is refreshed.");
    await page.clock.runFor(600_000);
    assert.equal(asked.length, 1);
    await page.locator("#live").getByRole("link", { name: "Sign in" }).click();
    await page.getByLabel("API key").waitFor();
  });

  test("asks nothing while nobody sees it", async (t) => {
    const scene = await openLive(t);
    const { page, asked } = scene;
    const turn = (hidden) =>
      page.evaluate((is) => {
        Object.defineProperty(document, "hidden", { value: is, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await turn(true);
    await page.clock.runFor(600_000);
    assert.equal(asked.length, 0);
    await turn(false);
    await eventually(() => asked.length === 1);
  });

  test("asks less and less often while it is not answered, and goes on", async (t) => {
    const scene = await openLive(t);
    const { page, asked } = scene;
    await page.route("**/settings/webhooks/*", (route) => route.fulfill({ status: 429, body: "" }));
    for (const seconds of [5, 10, 20, 40]) {
      const before = asked.length;
      await page.clock.runFor(seconds * 1_000 - 500);
      assert.equal(asked.length, before, `${seconds} s`);
      await page.clock.runFor(500);
      await eventually(() => asked.length === before + 1);
      await assertSees(page, "This page could not be refreshed. It tries again.");
      await settle(page);
    }
    await page.unroute("**/settings/webhooks/*");
    await page.clock.runFor(80_000);
    await assertSees(page, "Refreshes by itself.");
  });
});

test("W6: the page of a pending delivery tells how it goes on, and offers its new attempt", async (t) => {
  const { page, home, endpoint, entries, ...scene } = await openLive(t);
  const [, pending] = entries;
  await page.goto(`${home}/deliveries/${pending.id}`);
  await page.locator("#state").getByText("Retrying").waitFor();
  endpoint.status = 200;
  answered(await relay.fetch(pathOf(scene, `/deliveries/${pending.id}/send-now`), { method: "POST" }), 202);
  await awaitSettled(relay, scene.workspace, pending);
  await page.clock.runFor(SOON_MS);
  await page.locator("#state").getByText("Delivered").waitFor();
  assert.equal(await page.locator("#said").textContent(), "1 new attempt");
  await page.getByRole("button", { name: "1 new attempt, show" }).click();
  await assertSees(page, "Attempt 2");
  assert.equal(await page.locator("#live").count(), 0, "what has ended refreshes no more");
});

test("W12: progress and end of a resend are said in one place, and the focus stays where it was", async (t) => {
  const scene = await openLive(t);
  const { page, home, endpoint, entries } = scene;
  await cancel(scene, entries[1]);
  const waiting = [];
  endpoint.waiting = waiting;
  const begun = await startResend(relay, scene);
  await page.goto(home);
  await assertSees(page, "Resending 2 events.");
  await page.getByRole("button", { name: "Stop" }).focus();
  const said = page.getByRole("status").and(page.locator("#said"));
  await eventually(() => waiting.length === 2);
  waiting[0].writeHead(200).end();
  await eventually(async () => {
    const read = await relay.fetch(pathOf(scene, `/resend/${begun.id}`));
    return read.body.done === 1;
  });
  await refresh(scene);
  await said.filter({ hasText: "Resending 2 events. 50% done." }).waitFor({ state: "attached" });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Stop");
  waiting[1].writeHead(500).end();
  await awaitResend(relay, scene, begun);
  await refresh(scene);
  await said.filter({ hasText: "The resend has ended: 1 arrived, 1 failed again." }).waitFor({ state: "attached" });
  assert.equal(await page.evaluate(() => document.activeElement.id), "resend");
});
