// How an endpoint does is told at once: on the list, on its page, in its log.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith, hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, acceptForOne, alert, awaitDelivery, setUpWebhook } from "../support/steps.js";

/** @import { Answer } from "../support/types.d.ts" */

// The second attempt of each event fails soon, and the third comes after every test.
const VARS = { RETRY_SCHEDULE: "20ms,2h", ATTEMPT_TIMEOUT: "1s" };

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
 * A webhook whose events have each failed twice, and a page signed in.
 * @param {import("node:test").TestContext} t
 * @param {{ events?: number, answer?: Answer, script?: boolean }} [options]
 */
async function failTwice(t, { events = 4, answer = answerWith(500), ...window } = {}) {
  const scene = await setUpWebhook(t, relay, answer);
  const accepted = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: events }, () => alert()),
  );
  const entries = accepted.map(({ deliveries: [entry] }) => entry);
  for (const entry of entries)
    await awaitDelivery(relay, scene.workspace, entry, ({ attempt_count: count }) => count === 2);
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  return { ...scene, entries, page, home: `/settings/webhooks/${scene.webhook.id}` };
}

describe("an endpoint of which every attempt fails", () => {
  for (const script of [true, false]) {
    test(`W1: is failing on the list and on its page, ${script ? "with" : "without"} a script`, async (t) => {
      const { page, home } = await failTwice(t, { script });
      for (const address of ["/settings/webhooks", home]) {
        await eventually(async () => {
          await page.goto(address);
          return page.getByText("Failing · 500", { exact: true }).isVisible();
        });
        await assertSees(page, /0 of 8 attempts succeeded in 24 hours; last 500 .*(ago|now)/);
        assert.equal(await page.getByText(/Enabled|Healthy|No events yet/).count(), 0, address);
        if (script) await assertAccessible(page, address);
      }
    });
  }

  test("W1: has its events in the log as retried, with the code of their last attempt", async (t) => {
    const { page, home, entries } = await failTwice(t);
    await page.goto(home);
    for (const { id } of entries) {
      const row = page.getByRole("row").filter({ hasText: id });
      await row.getByText("Retrying", { exact: true }).waitFor();
      assert.equal(await row.locator(".code").textContent(), "500");
      assert.equal((await row.locator(".made").textContent()).trim(), "2");
      assert.match((await row.locator(".next").textContent()).trim(), /^in (1|2) hours?$|^in 119 minutes$/);
    }
    await page.getByLabel("Status").selectOption("Retrying");
    await page.getByRole("button", { name: "Filter" }).click();
    await assertSees(page, "Only those that match the filter.");
    assert.equal(await page.locator(".log tbody tr").count(), entries.length);
  });
});

test("an endpoint that does not answer is failing with what there was in place of a code", async (t) => {
  const { page } = await failTwice(t, { answer: hang, events: 2 });
  await eventually(async () => {
    await page.goto("/settings/webhooks");
    return page.getByText("Failing · timeout", { exact: true }).isVisible();
  });
  await assertSees(page, /0 of 4 attempts succeeded in 24 hours; last timeout /);
});

test("an endpoint whose last attempt failed is retrying, and healthy after one that succeeds", async (t) => {
  const scene = await setUpWebhook(t, relay, answerInTurn(503, 200));
  const page = await browser.open(t, relay);
  await signInOn(page, relay, scene.workspace);
  await page.getByText("No events yet", { exact: true }).waitFor();
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, ({ status }) => status === "delivered");
  await eventually(async () => {
    await page.goto("/settings/webhooks");
    return page.getByText("Healthy", { exact: true }).isVisible();
  });
  await assertSees(page, /1 of 2 attempts succeeded in 24 hours; last 503 /);
});
