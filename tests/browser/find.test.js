// Finding anything: the box of every page, its results and its empty answer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptEvent, alert, awaitSettled, setUpWebhook } from "../support/steps.js";

let relay;
let browser;
let workspace;
let scenes;
let entries;
before(async () => {
  [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
  const first = await setUpWebhook({ after }, relay, answerWith(200), { description: "Pages the on-call engineer" });
  ({ workspace } = first);
  scenes = [first, await setUpWebhook({ after }, relay, answerWith(410), { workspace })];
  entries = await acceptEvent(relay, workspace, alert({ event_id: "order:4711" }));
  for (const entry of entries) await awaitSettled(relay, workspace, entry);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

async function openPage(t, window) {
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, workspace);
  return page;
}

async function search(page, text) {
  await page.getByRole("searchbox", { name: "Search by id or URL" }).fill(text);
  await page.keyboard.press("Enter");
}

const pageOf = ({ webhook_id: webhook, id }) => `/settings/webhooks/${webhook}/deliveries/${id}`;

for (const script of [true, false])
  describe(`the box of every page, ${script ? "with" : "without"} a script`, () => {
    test("leads to a delivery, to a webhook by its id, and to a webhook by a part of its URL", async (t) => {
      const page = await openPage(t, { script });
      for (const entry of entries) {
        await search(page, ` ${entry.id} `);
        await page.waitForURL(pageOf(entry));
      }
      for (const { webhook } of scenes) {
        const home = `/settings/webhooks/${webhook.id}`;
        await search(page, webhook.id);
        await page.waitForURL(home);
        await page.goto("/settings/events");
        await search(page, new URL(webhook.url).host.toUpperCase());
        await page.waitForURL(home);
      }
    });

    test("lists the deliveries of an event, and leads on to why others have none", async (t) => {
      const page = await openPage(t, { script });
      await search(page, "order:4711");
      await page.getByRole("heading", { name: "2 matches" }).waitFor();
      for (const { id } of entries) await page.getByRole("link", { name: id }).waitFor();
      assert.equal(await page.getByRole("searchbox").inputValue(), "order:4711");
      await page.getByRole("link", { name: "See which webhooks got this event, and why others did not" }).click();
      await page.getByRole("heading", { name: "Event order:4711" }).waitFor();
    });

    test("says what was looked for and what can be, where there is nothing", async (t) => {
      const page = await openPage(t, { script });
      await search(page, "order:4712");
      await page.getByRole("heading", { name: "Nothing was found" }).waitFor();
      assert.doesNotMatch(await page.title(), /Error/);
      await assertSees(page, "read as an event_id or a part of a URL, and");
      await assertSees(page, "the ids and URLs of the workspace’s 2 webhooks and in the log of their deliveries");
      await assertSees(page, "Any part of the URL of a webhook");
      await page.getByRole("link", { name: "See why webhooks did not get an event of this id" }).click();
      assert.equal(await page.getByLabel("Event id").inputValue(), "order:4712");
    });
  });

test("the box is the third tab stop of a page", async (t) => {
  const page = await openPage(t);
  await page.goto("/settings/webhooks");
  for (let stop = 0; stop < 3; stop++) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "find");
});

test("on a phone the box has a line of its own", async (t) => {
  const page = await openPage(t, { width: 390 });
  const box = await page.locator("form.find").boundingBox();
  assert.ok(box.width > 330, JSON.stringify(box));
  for (const other of await page.locator(".top .wide > :not(.find)").all()) {
    const its = await other.boundingBox();
    assert.ok(its === null || its.y + its.height <= box.y || its.y >= box.y + box.height, "something stands beside it");
  }
});

for (const scheme of ["light", "dark"])
  for (const width of [1280, 390, 320])
    test(`results are accessible and fit, ${scheme}, ${width} px wide`, async (t) => {
      const page = await openPage(t, { scheme, width });
      for (const sought of ["", "order:4711", "http", "nobody", "x".repeat(2_049), "<b>\u202ex</b>"]) {
        await page.goto(`/settings/find?q=${encodeURIComponent(sought)}`);
        await assertAccessible(page, `for ${sought.slice(0, 20)}`);
        await assertFits(page, `for ${sought.slice(0, 20)}`);
      }
    });
