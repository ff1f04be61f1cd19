// Resending many events with care: how many first, then a button that says the number, and an end that tells the truth.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, alert, awaitDelivery, awaitSettled, changeWebhook, setUpWebhook } from "../support/steps.js";

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay({ vars: { RETRY_SCHEDULE: "10ms" } }), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** A webhook whose events have all failed, and its page. Once it is `mended`, all arrive but those of `bad` data. */
async function openFailed(t, events, window) {
  const endpoint = { mended: false };
  const answer = ({ text }) => ({ status: endpoint.mended && !text.includes('"bad"') ? 200 : 500 });
  const scene = await setUpWebhook(t, relay, answer, { events: ["alert.triggered", "agent.error"] });
  const accepted = await acceptArray(relay, scene.workspace, events);
  const entries = accepted.map(({ deliveries: [entry] }) => entry);
  for (const entry of entries) await awaitSettled(relay, scene.workspace, entry);
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  const home = `/settings/webhooks/${scene.webhook.id}`;
  await page.goto(home);
  return { ...scene, entries, endpoint, page, home };
}

const good = (rest) => alert({ data: { alert_id: "good" }, ...rest });
const bad = () => alert({ data: { alert_id: "bad" } });

for (const script of [true, false]) {
  describe(script ? "with a script" : "without a script", () => {
    test("W4: nothing is resent before the page has said how many, and the end says what arrived", async (t) => {
      const { page, endpoint, receiver } = await openFailed(t, [good(), good(), good(), bad(), bad()], { script });
      const sent = receiver.events().length;
      await page.getByRole("link", { name: "Resend failed events" }).click();
      await page.getByRole("heading", { name: "5 failed events will be resent" }).waitFor();
      await assertSees(page, "Oldest");
      await assertSees(page, "Newest");
      await assertSees(page, "last attempt: 500 Internal Server Error");
      assert.equal(receiver.events().length, sent);
      endpoint.mended = true;
      await page.getByRole("button", { name: "Resend 5 events" }).click();
      await assertSees(page, "The resend has begun.");
      const end = page.getByText("The resend has ended: 3 arrived, 2 failed again.").first();
      if (!script) {
        const refresh = page.getByRole("link", { name: "Refresh" });
        while ((await end.count()) === 0 && (await refresh.count()) > 0) await refresh.click();
      }
      await end.waitFor();
      assert.match(await page.locator("#resend").getAttribute("class"), /warn/);
      assert.ok(!(await page.textContent("main")).includes("All events"));
    });

    test("W4: what is selected in the log is resent, and nothing else", async (t) => {
      const events = [good(), good(), good({ type: "agent.error" })];
      const { page, endpoint, entries, ...scene } = await openFailed(t, events, { script });
      const box = (id) => page.locator(`input[name=ids][value=${id}]`);
      const names = await page
        .getByRole("row")
        .getByRole("checkbox", { name: /^(alert|agent)\./ })
        .all();
      assert.equal(names.length, 3);
      assert.match(await box(entries[2].id).getAttribute("aria-label"), /^agent\.error, .*\d\d:\d\d:\d\d/);
      for (const { id } of [entries[0], entries[2]]) await box(id).check();
      await page.getByRole("button", { name: script ? "Resend 2 selected" : "Resend selected" }).click();
      await page.getByRole("heading", { name: "2 events will be resent" }).waitFor();
      endpoint.mended = true;
      await page.getByRole("button", { name: "Resend 2 events" }).click();
      await assertSees(page, "The resend has begun.");
      for (const entry of [entries[0], entries[2]])
        await awaitDelivery(relay, scene.workspace, entry, ({ status }) => status === "delivered");
      const left = await awaitSettled(relay, scene.workspace, entries[1]);
      assert.deepEqual([left.status, left.attempt_count], ["failed", 2]);
    });
  });
}

test("W4: one box selects all, and says when only some are", async (t) => {
  const { page } = await openFailed(t, [good(), good()]);
  const all = page.getByRole("checkbox", { name: "Select all" });
  const button = page.locator("button[name=selected]");
  assert.ok(await button.isDisabled());
  await all.check();
  assert.equal(await button.textContent(), "Resend 2 selected");
  await page.locator("input[name=ids]").first().uncheck();
  assert.equal(await button.textContent(), "Resend 1 selected");
  assert.ok(await all.evaluate((/** @type {HTMLInputElement} */ box) => box.indeterminate && !box.checked));
  await all.check();
  await all.uncheck();
  assert.ok(await button.isDisabled());
  await page.goto(`${page.url()}?status=held`);
  await assertSees(page, "No delivery matches.");
});

test("W4: the log's filter is the filter of the resend, and can be changed there", async (t) => {
  const events = [good(), good({ type: "agent.error" }), good({ type: "agent.error" })];
  const { page, home } = await openFailed(t, events);
  await page.goto(`${home}?type=agent.error&since=2026-01-01T00:00:00Z`);
  await page.getByRole("link", { name: "Resend the failed ones of these" }).click();
  await page.getByRole("heading", { name: "2 failed events will be resent" }).waitFor();
  assert.equal(await page.getByLabel("Event type").inputValue(), "agent.error");
  await page.getByLabel("Last response").fill("5XX");
  await page.getByRole("button", { name: "Count again" }).click();
  await page.getByRole("heading", { name: "2 failed events will be resent" }).waitFor();
  assert.match(page.url(), /response_status=5xx.*since=|since=.*response_status=5xx/i);
  await page.getByLabel("Last response").fill("99");
  await page.getByRole("button", { name: "Count again" }).click();
  const summary = page.getByRole("alert");
  await summary.getByRole("link", { name: "Enter a code from 100 to 599, or a class from 1xx to 5xx." }).click();
  assert.equal(await page.locator(":focus").getAttribute("id"), "response_status");
  assert.match(await page.title(), /^Error: /);
  await page.getByLabel("Last response").fill("404");
  await page.getByRole("button", { name: "Count again" }).click();
  await page.getByRole("heading", { name: "Nothing to resend" }).waitFor();
  await page.getByRole("link", { name: "Look for pending events to send now" }).click();
  await assertSees(page, "No event that waits for a later attempt matches.");
});

test("W4: what failed since the webhook began to fail is one link away, and a disabled one is to be enabled first", async (t) => {
  const { page, endpoint, home, ...scene } = await openFailed(t, [good(), good()]);
  await page.getByRole("link", { name: "Resend what failed since it began to fail" }).click();
  await page.getByRole("heading", { name: "2 failed events will be resent" }).waitFor();
  assert.match(page.url(), /since=/);
  await changeWebhook(relay, scene, { status: "disabled" });
  await page.reload();
  await assertSees(page, "Enable the webhook first.");
  assert.equal(await page.getByRole("button", { name: /^Resend/ }).count(), 0);
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await assertSees(page, "Webhook enabled.");
  endpoint.mended = true;
  await page.goto(`${home}/resend`);
  await page.getByRole("button", { name: "Resend 2 events" }).click();
  await assertSees(page, "The resend has ended: 2 arrived, 0 failed again.");
  assert.match(await page.locator("#resend").getAttribute("class"), /good/);
});

for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 390, 320]) {
    test(`what a resend says is accessible and fits, ${scheme}, ${width} px wide`, async (t) => {
      const { page, entries, home } = await openFailed(t, [good(), bad()], { scheme, width });
      for (const address of [
        `${home}/resend`,
        `${home}/resend?ids=${entries[0].id}&ids=${entries[1].id}`,
        `${home}/resend?status=pending`,
        `${home}/resend?selected=true`,
        `${home}/resend?status=odd&since=odd&response_status=odd&outcome=odd`,
      ]) {
        await page.goto(address);
        await assertAccessible(page, address);
        await assertFits(page, address);
      }
      await page.goto(`${home}/resend`);
      await page.getByRole("button", { name: "Resend 2 events" }).click();
      await assertSees(page, "The resend has ended: 0 arrived, 2 failed again.");
      await page.getByRole("checkbox", { name: "Select all" }).check();
      await assertAccessible(page, "its end");
      await assertFits(page, "its end");
    });
  }
}
