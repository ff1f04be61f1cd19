// What a page says of what was done: once, as good as the result, at the place where it happened, and with the focus.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith, refusedUrl, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, awaitSettled, createKey, pathOf, setUpWebhook } from "../support/steps.js";

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([
    startRelay({ vars: { RETRY_SCHEDULE: "10ms,10ms,10ms,10ms,10ms" } }),
    startBrowser(),
  ]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** @import { Answer, WebhookOptions } from "../support/types.d.ts" */

/**
 * A webhook with its page open, signed in, in a window of the given size.
 * @param {import("node:test").TestContext} t
 * @param {WebhookOptions & { answer?: Answer, window?: object }} [options]
 */
async function openWebhook(t, { answer = answerWith(200), window = {}, ...settings } = {}) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  const home = `/settings/webhooks/${scene.webhook.id}`;
  await page.goto(home);
  return { ...scene, page, home };
}

const endSessions = ({ workspace }) =>
  relay.fetch(`/v1/workspaces/${workspace}/dashboard-links`, { method: "DELETE" }).then(({ status }) => {
    assert.equal(status, 204);
  });

for (const script of [true, false]) {
  describe(script ? "with a script" : "without a script", () => {
    test("W3: a refused form is shown where it is on a phone, summed up with the focus, and leads to its fields", async (t) => {
      const { page } = await openWebhook(t, { window: { width: 390, script } });
      await page.getByText("Edit settings").click();
      await page.getByLabel("Endpoint URL").fill("ftp://hooks.example.com/");
      await page.getByLabel("Custom headers").fill("no colon");
      await page.getByRole("button", { name: "Save" }).click();
      const summary = page.getByRole("alert");
      await summary.waitFor();
      assert.match(await page.title(), /^Error: /);
      const { y } = await summary.boundingBox();
      assert.ok(y >= 0 && y < 800, `the summary is at ${y}`);
      assert.equal(await page.locator(":focus").getAttribute("role"), "alert");
      assert.deepEqual(await summary.getByRole("link").allTextContents(), [
        "The URL must use https or http.",
        "Line 1 has no colon: write each header as Name: value.",
      ]);
      await summary.getByRole("link", { name: /colon/ }).click();
      assert.equal(await page.locator(":focus").getAttribute("id"), "headers");
      assert.ok((await page.locator("#headers").boundingBox()).y < 800);
      if (script) await assertAccessible(page, "refused settings");
      await assertFits(page, "refused settings");
    });

    test("W7: a notice is shown once, and no address makes one", async (t) => {
      const { page, home } = await openWebhook(t, { window: { script } });
      await page.getByRole("button", { name: "Disable", exact: true }).click();
      await assertSees(page, "Webhook disabled. New events are held");
      assert.equal(new URL(page.url()).search, "");
      await page.reload();
      assert.equal(await page.getByText("Webhook disabled. New events are held").count(), 0);
      for (const address of ["/settings/webhooks?done=deleted", `${home}?done=enabled`]) {
        await page.goto(address);
        assert.equal(await page.getByText(/Webhook (deleted|enabled)/).count(), 0);
      }
    });

    test("W8: a banner over a failed ping or test is not green", async (t) => {
      const workspace = await createWorkspace(relay);
      const page = await browser.open(t, relay, { script });
      await signInOn(page, relay, workspace);
      await page.goto("/settings/webhooks/new");
      await page.getByLabel("Endpoint URL").fill(await refusedUrl());
      await page.getByRole("checkbox", { name: "agent.error" }).check();
      await page.getByRole("button", { name: "Save" }).click();
      await page.locator(".notice.warn").getByText("Webhook created, but its ping failed.").waitFor();
      await page.getByText("Send test event").click();
      await page.getByRole("button", { name: "Send", exact: true }).click();
      await page.locator(".notice.warn").getByText("Test event sent, and its attempt failed.").waitFor();
      assert.equal(await page.locator(".notice.good").count(), 0);
    });

    test("W10: a filled form survives an expired session, secrets and header values excepted and named", async (t) => {
      const workspace = await createWorkspace(relay);
      const receiver = await startReceiver(answerWith(200));
      t.after(() => receiver.stop());
      const page = await browser.open(t, relay, { script });
      await signInOn(page, relay, workspace);
      await page.goto("/settings/webhooks/new");
      await page.getByLabel("Endpoint URL").fill(receiver.url);
      await page.getByRole("checkbox", { name: "agent.error" }).check();
      await page.getByLabel("Signing secret").fill("a-secret-of-my-own");
      await page.getByLabel("Description").fill("A long note\nof two lines");
      await page.getByLabel("Custom headers").fill("X-Team: platform-value");
      await endSessions({ workspace });
      await page.getByRole("button", { name: "Save" }).click();
      await assertSees(page, "Your session has ended, so nothing was done.");
      await assertSees(page, "except the signing secret and the values of custom headers");
      const kept = await page.content();
      assert.ok(!kept.includes("a-secret-of-my-own") && !kept.includes("platform-value"));
      if (script) await assertAccessible(page, "sign-in with a kept form");

      await page.getByLabel("API key").fill("sk_nobody_0000");
      await page.getByRole("button", { name: "Sign in" }).click();
      await assertSees(page, "This API key is not valid.");
      await page.getByLabel("API key").fill((await createKey(relay, workspace)).key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await assertSees(page, "It is not saved yet.");
      assert.equal(await page.getByLabel("Endpoint URL").inputValue(), receiver.url);
      assert.equal(await page.getByLabel("Description").inputValue(), "A long note\nof two lines");
      assert.ok(await page.getByRole("checkbox", { name: "agent.error" }).isChecked());
      assert.equal(await page.getByLabel("Custom headers").inputValue(), "X-Team: ");
      await page.getByLabel("Custom headers").fill("X-Team: platform-value");
      await page.getByRole("button", { name: "Save" }).click();
      await assertSees(page, "Webhook created.");
    });

    test("W10: settings typed while the session expired are still there", async (t) => {
      const { page, ...scene } = await openWebhook(t, { window: { script } });
      await page.getByText("Edit settings").click();
      await page.getByLabel("Description").fill("Typed for an hour");
      await endSessions(scene);
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByLabel("API key").fill((await createKey(relay, scene.workspace)).key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await assertSees(page, "It is not saved yet.");
      assert.equal(await page.getByLabel("Description").inputValue(), "Typed for an hour");
      await page.getByRole("button", { name: "Save" }).click();
      await assertSees(page, "Settings saved.");
      const { body } = await relay.fetch(pathOf(scene));
      assert.equal(body.description, "Typed for an hour");
    });

    test("W12: after an action the focus is on what it did, and links of the log have names of their own", async (t) => {
      const { page, ...scene } = await openWebhook(t, { window: { script } });
      const entries = [await acceptForOne(relay, scene.workspace), await acceptForOne(relay, scene.workspace)];
      for (const entry of entries) await awaitSettled(relay, scene.workspace, entry);
      await page.getByRole("button", { name: "Pause" }).click();
      await page.locator(":focus").filter({ hasText: "Webhook paused." }).waitFor();
      const names = await page.locator("table.log a").allTextContents();
      assert.ok(names.length >= entries.length);
      assert.equal(new Set(names).size, names.length);
    });
  });
}

test("W7: a secret is shown by the answer to a POST alone, and neither reload nor back shows it again", async (t) => {
  const secret = "the-secret-of-this-test";
  const { page, home } = await openWebhook(t, { secret });
  await page.goto(`${home}?secret=shown`);
  assert.ok(!(await page.content()).includes(secret));
  await page.getByRole("button", { name: "Reveal" }).click();
  await assertSees(page, secret);
  assert.equal(new URL(page.url()).pathname, home);
  await page.goto("/settings/webhooks");
  await page.goBack();
  await page.getByRole("heading", { name: "Signing secret" }).waitFor();
  assert.ok(!(await page.content()).includes(secret), "back shows it");
  await page.getByRole("button", { name: "Reveal" }).click();
  await assertSees(page, secret);
  await page.reload();
  await page.getByRole("button", { name: "Reveal" }).waitFor();
  assert.ok(!(await page.content()).includes(secret), "a reload shows it");
});
