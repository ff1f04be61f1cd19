// The log of a webhook: it stands first, and its filter, its place and its rows survive what a reader does.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, alert, awaitSettled, setUpWebhook } from "../support/steps.js";

const VARS = { RETRY_SCHEDULE: "20ms" };

// Deliveries of a page, and enough for three pages.
const PAGE = 20;
const EVENTS = 60;

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay({ vars: VARS }), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/**
 * A webhook whose events have all failed, every sixth with 503 and all others with 500, and its page.
 * @param {import("node:test").TestContext} t
 * @param {{ events?: number, width?: number }} [options]
 */
async function openLog(t, { events = EVENTS, ...window } = {}) {
  let number = 0;
  const answers = new Map();
  const answer = ({ body }) => {
    const { id } = JSON.parse(body);
    if (!answers.has(id)) answers.set(id, number++ % 6 === 5 ? 503 : 500);
    return answerWith(answers.get(id))();
  };
  const scene = await setUpWebhook(t, relay, answer);
  const accepted = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: events }, () => alert()),
  );
  const entries = accepted.map(({ deliveries: [entry] }) => entry);
  await Promise.all(entries.map((entry) => awaitSettled(relay, scene.workspace, entry, { timeout: 30_000 })));
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  const home = `/settings/webhooks/${scene.webhook.id}`;
  await page.goto(home);
  return { ...scene, entries, page, home };
}

const rows = (page) => page.locator(".log tbody tr");
const codes = async (page) => [...new Set(await page.locator(".log td.code").allTextContents())];
const parameters = (page) => new URL(page.url()).searchParams;

test("the log begins above the fold, with a column for each thing that is looked for", async (t) => {
  const { page } = await openLog(t, { events: 30 });
  const { y } = await rows(page).nth(4).boundingBox();
  assert.ok(y < 800, `the fifth row begins at ${y}`);
  const heads = await page.locator(".log thead th").allTextContents();
  const named = heads.map((head) => head.trim()).filter((head) => head !== "");
  assert.deepEqual(named, ["Select", "Time", "Status", "Type", "Code", "Duration", "Attempts", "Next"]);
});

/** The texts of the log that take more than one line. */
const brokenTexts = (page) =>
  page.locator(".log").evaluate((log) => {
    const texts = document.createTreeWalker(log, NodeFilter.SHOW_TEXT);
    const broken = [];
    while (texts.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      const tops = [...range.getClientRects()].filter(({ width }) => width > 1).map(({ top }) => Math.round(top));
      if (new Set(tops).size > 1 && !texts.currentNode.parentElement.closest(".hidden"))
        broken.push(texts.currentNode.textContent.trim());
    }
    return broken;
  });

test("no word of the log is broken, whatever the width of the window or of the paper", async (t) => {
  const { page } = await openLog(t, { events: 3 });
  for (const width of [640, 832, 833, 900, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    assert.deepEqual(await brokenTexts(page), [], `${width} px`);
  }
  await page.emulateMedia({ media: "print" });
  await page.setViewportSize({ width: 718, height: 1016 });
  assert.deepEqual(await brokenTexts(page), [], "A4");
  assert.equal(await page.getByLabel("Last attempt").isVisible(), false);
});

test("the whole row opens its delivery", async (t) => {
  const { page, entries } = await openLog(t, { events: 3 });
  const row = page.getByRole("row").filter({ hasText: entries[1].id });
  const { x, y, width, height } = await row.locator(".took").boundingBox();
  await page.mouse.click(x + width / 2, y + height / 2);
  await page.waitForURL(new RegExp(`/deliveries/${entries[1].id}$`));
});

describe("W10: the filter survives", () => {
  test("paging, older and newer, a delivery and the way back", async (t) => {
    const { page } = await openLog(t);
    await page.getByLabel("Last attempt").selectOption("500");
    await page.getByRole("button", { name: "Filter" }).click();
    await assertSees(page, "Only those that match the filter.");
    const newest = await rows(page).first().textContent();
    assert.equal(await rows(page).count(), PAGE);
    await page.getByRole("link", { name: "Older" }).click();
    await page
      .getByRole("link", { name: "Newer" })
      .or(page.getByRole("link", { name: "Newest" }))
      .first()
      .waitFor();
    const second = await rows(page).first().textContent();
    assert.notEqual(second, newest);
    assert.deepEqual(await codes(page), ["500"]);

    await rows(page).nth(3).getByRole("link").click();
    await assertSees(page, "Every attempt failed.");
    await page.getByRole("link", { name: "Open attempt 1" }).click();
    await page.getByRole("link", { name: "Deliveries" }).click();
    await page.getByLabel("Last attempt").waitFor();
    assert.equal(await rows(page).first().textContent(), second);
    assert.equal(await page.getByLabel("Last attempt").inputValue(), "500");

    await page.getByRole("link", { name: "Newest" }).click();
    await page.getByRole("link", { name: "Newest" }).waitFor({ state: "detached" });
    assert.equal(await rows(page).first().textContent(), newest);
    await page.getByRole("link", { name: "Show all" }).click();
    await page.getByText("Only those that match the filter.").waitFor({ state: "detached" });
  });

  test("a resend of one of its deliveries", async (t) => {
    const { page } = await openLog(t, { events: 12 });
    await page.getByLabel("Last attempt").selectOption("503");
    await page.getByRole("button", { name: "Filter" }).click();
    await assertSees(page, "Only those that match the filter.");
    await rows(page).first().getByRole("link").click();
    await page.getByRole("button", { name: "Resend", exact: true }).click();
    await assertSees(page, "The event is being resent.");
    await page.getByRole("link", { name: "Deliveries" }).click();
    await page.getByLabel("Last attempt").waitFor();
    assert.equal(parameters(page).get("response_status"), "503");
  });
});

test("each page of a long log leads to the one before it", async (t) => {
  const { page } = await openLog(t);
  const seen = [];
  for (let number = 1; number <= 3; number++) {
    seen.push(await rows(page).first().textContent());
    if (number < 3) {
      await page.getByRole("link", { name: "Older" }).click();
      await page.waitForFunction((before) => !document.body.textContent.includes(before), seen.at(-1).trim());
    }
  }
  assert.equal(new Set(seen).size, 3);
  await page.getByRole("link", { name: "Newer" }).click();
  await page.waitForFunction((before) => !document.body.textContent.includes(before), seen[2].trim());
  assert.equal(await rows(page).first().textContent(), seen[1]);
});

test("failures are told in groups, each of which shows its deliveries", async (t) => {
  const { page } = await openLog(t, { events: 12 });
  const chips = page.locator(".chip");
  const texts = (await chips.allTextContents()).map((text) => text.replace(/\s+/g, " ").trim());
  assert.match(texts[0], /^10 × 500 since /);
  assert.match(texts[1], /^2 × 503 since /);
  await chips.nth(1).click();
  await assertSees(page, "Only those that match the filter.");
  assert.equal(await rows(page).count(), 2);
  assert.deepEqual(await codes(page), ["503"]);
  assert.equal(await page.locator(".chip[aria-current]").count(), 1);
});

test("an event is found by its delivery id and by its event_id, and what is not there leads to the search", async (t) => {
  const { page, home, workspace } = await openLog(t, { events: 1 });
  const [{ deliveries }] = await acceptArray(relay, workspace, [alert({ event_id: "order-4711" })]);
  await awaitSettled(relay, workspace, deliveries[0]);
  for (const id of [deliveries[0].id, "order-4711"]) {
    await page.goto(home);
    await page.getByLabel("Event", { exact: true }).fill(id);
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/deliveries/${deliveries[0].id}`));
  }
  await page.goto(home);
  await page.getByLabel("Event", { exact: true }).fill("order 1 & 2");
  await page.keyboard.press("Enter");
  await assertSees(page, "This webhook has no delivery of that event.");
  const link = page.getByRole("link", { name: "Look for it everywhere" });
  assert.equal(await link.getAttribute("href"), "/settings/find?q=order+1+%26+2");
});

test("the first row is at most eight stops of the Tab key after the filter", async (t) => {
  const { page } = await openLog(t, { events: 3 });
  await page.getByLabel("Status").focus();
  const inRow = () => page.evaluate(() => document.activeElement.closest(".log tbody tr") !== null);
  let stops = 0;
  while (!(await inRow())) {
    await page.keyboard.press("Tab");
    stops += 1;
    assert.ok(stops <= 8, `${stops} stops`);
  }
});

for (const width of [390, 320])
  test(`on a window of ${width} pixels each delivery is a card that shows all of it`, async (t) => {
    const { page } = await openLog(t, { events: 12, width });
    await assertFits(page, `${width}`);
    await assertAccessible(page, `${width}`);
    const card = rows(page).first();
    for (const part of [".at", ".state", "a", ".code", ".took", ".made"])
      assert.ok(await card.locator(part).first().isVisible(), part);
    const tops = await card.locator("td").evaluateAll((cells) => cells.map((cell) => cell.getBoundingClientRect().top));
    assert.ok(new Set(tops).size >= 2, "the cells of a card stand in several lines");
  });
