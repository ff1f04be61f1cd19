// A customer's webhooks in a browser: the five steps of the customer page, settings, secret, disabling, deleting.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith, refusedUrl, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";

/** @import { Answer, WebhookOptions } from "../support/types.d.ts" */

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** @typedef {{ answer?: Answer, scopes?: string[] }} OpenOptions */

/**
 * A webhook with its page open, signed in with `scopes`.
 * @param {import("node:test").TestContext} t
 * @param {WebhookOptions & OpenOptions} [options]
 */
async function openWebhook(t, { answer = answerWith(200), scopes, ...settings } = {}) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  const page = await browser.open(t, relay);
  await signInOn(page, relay, scene.workspace, scopes);
  await page.getByRole("link", { name: scene.webhook.url }).click();
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  return { ...scene, page };
}

describe("adding a webhook", () => {
  test("follows the five steps of the customer page, and shows the ping and the secret", async (t) => {
    const workspace = await createWorkspace(relay);
    const receiver = await startReceiver(answerWith(200), {
      ping: answerWith(200, { "x-seen": "yes" }, "pong from here"),
    });
    t.after(() => receiver.stop());
    const page = await browser.open(t, relay);
    await signInOn(page, relay, workspace);
    await assertSees(page, "No webhooks yet");

    await page.getByRole("link", { name: "Add webhook" }).click();
    await page.getByLabel("Endpoint URL").fill(receiver.url);
    await page.getByRole("checkbox", { name: "alert.triggered" }).check();
    await page.getByLabel("Signing secret").fill("a-secret-of-my-own");
    await page.getByLabel("Description").fill("Pages the on-call engineer");
    await page.getByRole("button", { name: "Save" }).click();

    await assertSees(page, "Webhook created.");
    await assertSees(page, "The endpoint answered 200 OK.");
    await assertSees(page, "pong from here");
    await page.getByRole("button", { name: "Reveal the secret" }).first().click();
    await page.getByRole("button", { name: "Copy" }).first().click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "a-secret-of-my-own");
    const [ping] = receiver.pings();
    const expected = createHmac("sha256", "a-secret-of-my-own").update(ping.body).digest("hex");
    assert.equal(ping.headers["x-secureagentics-signature"], expected);

    await page.getByRole("link", { name: "Webhooks", exact: true }).click();
    const entry = page.getByRole("listitem").filter({ hasText: receiver.url });
    await entry.getByText("No events yet").waitFor();
    await entry.getByText("Pages the on-call engineer").waitFor();
    await entry.getByRole("img", { name: /Last 24 hours/ }).waitFor();
  });

  test("offers a generated secret, and says why an endpoint could not be reached", async (t) => {
    const workspace = await createWorkspace(relay);
    const page = await browser.open(t, relay);
    await signInOn(page, relay, workspace);
    await page.goto("/settings/webhooks/new");
    await page.getByLabel("Endpoint URL").fill(await refusedUrl());
    await page.getByRole("checkbox", { name: "agent.error" }).check();
    await page.getByRole("button", { name: "Generate" }).click();
    const secret = await page.getByLabel("Signing secret").inputValue();
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    await page.getByRole("button", { name: "Save" }).click();
    await assertSees(page, "The webhook is saved and enabled all the same.");
    await assertSees(page, "There was no response.");
    await page.getByRole("button", { name: "Reveal the secret" }).first().click();
    assert.equal(await page.locator("#secret-value").textContent(), secret);
  });

  test("keeps what was typed and shows each error beside its field", async (t) => {
    const workspace = await createWorkspace(relay);
    const page = await browser.open(t, relay);
    await signInOn(page, relay, workspace);
    await page.goto("/settings/webhooks/new");
    await page.getByLabel("Endpoint URL").fill("http://user@hooks.example.com/");
    await page.getByLabel("Custom headers").fill("no colon here");
    await page.getByLabel("Signing secret").fill("short");
    await page.getByRole("button", { name: "Save" }).click();
    await assertSees(page, "The webhook was not saved.");
    const url = page.getByLabel("Endpoint URL");
    assert.equal(await url.inputValue(), "http://user@hooks.example.com/");
    assert.equal(await page.getByLabel("Custom headers").inputValue(), "no colon here");
    for (const [field, words] of [
      [url, /user name/],
      [page.getByLabel("Custom headers"), /colon/],
      [page.getByLabel("Signing secret"), /8 to 256/],
    ]) {
      assert.equal(await field.getAttribute("aria-invalid"), "true");
      const errors = (await field.getAttribute("aria-describedby")).split(" ").filter((id) => id.endsWith("-error"));
      assert.match(await page.locator(`#${errors[0]}`).textContent(), words);
    }
    await assertSees(page, "Choose at least one event type.");
  });
});

describe("a webhook's page", () => {
  test("saves settings", async (t) => {
    const { page, ...scene } = await openWebhook(t);
    await page.getByText("Edit settings").click();
    await page.getByLabel("Description").fill("Another note");
    await page.getByLabel("Custom headers").fill("X-Team: platform");
    await page.getByRole("checkbox", { name: "agent.error" }).uncheck();
    await page.getByRole("button", { name: "Save" }).click();
    await assertSees(page, "Settings saved.");
    await assertSees(page, "Another note");
    const { body } = await relay.fetch(pathOf(scene));
    assert.deepEqual(
      [body.description, body.headers, body.events.includes("agent.error"), body.events.length],
      ["Another note", { "X-Team": "platform" }, false, 3],
    );
  });

  test("reveals the secret, hides it, and rotates it with an overlap", async (t) => {
    const { page, ...scene } = await openWebhook(t, { secret: "the-first-secret" });
    assert.ok(!(await page.content()).includes("the-first-secret"));
    await page.getByRole("button", { name: "Reveal" }).click();
    await assertSees(page, "the-first-secret");
    await page.getByRole("link", { name: "Hide" }).click();
    await page.getByRole("button", { name: "Reveal" }).waitFor();

    await page.getByText("Rotate the secret").click();
    await assertSees(page, "carries the signatures of both");
    await page.getByLabel("The old secret ends").selectOption("in 1 hour");
    await page.getByRole("button", { name: "Rotate secret" }).click();
    await assertSees(page, "Secret rotated.");
    await assertSees(page, "The previous secret signs too until");
    await page.getByRole("button", { name: "Reveal" }).click();
    const secret = await page.locator("#secret-value").textContent();
    assert.match(secret, /^whsec_/);

    const send = async () => {
      const entry = await acceptForOne(relay, scene.workspace);
      await awaitSettled(relay, scene.workspace, entry);
      const { body, headers } = scene.receiver.events().at(-1);
      const hex = (key) => createHmac("sha256", key).update(body).digest("hex");
      return { headers, hex, signatures: headers["webhook-signature"].split(" ").length };
    };
    const meanwhile = await send();
    assert.equal(meanwhile.headers["x-secureagentics-signature"], meanwhile.hex("the-first-secret"));
    assert.equal(meanwhile.signatures, 2, "both secrets sign");
    await page.getByRole("button", { name: "End the previous secret now" }).click();
    await assertSees(page, "The previous secret has ended.");
    const alone = await send();
    assert.equal(alone.headers["x-secureagentics-signature"], alone.hex(secret));
    assert.equal(alone.signatures, 1);
  });

  test("disables, holds events, enables, and sends what was held", async (t) => {
    const { page, ...scene } = await openWebhook(t);
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await assertSees(page, "Webhook disabled.");
    await assertSees(page, "Somebody disabled it.");
    const entry = await acceptForOne(relay, scene.workspace);
    await page.reload();
    await page.getByRole("row").filter({ hasText: entry.id }).getByText("Held").waitFor();
    assert.equal(scene.receiver.events().length, 0);

    await page.getByRole("button", { name: "Enable", exact: true }).click();
    await assertSees(page, "Webhook enabled.");
    await page.goto(`/settings/webhooks/${scene.webhook.id}?status=held`);
    await page.getByRole("link", { name: "Resend held events" }).click();
    await page.getByRole("button", { name: "Resend 1 event" }).click();
    await assertSees(page, "The resend has ended: 1 arrived, 0 failed again.");
    await page.goto(`/settings/webhooks/${scene.webhook.id}/deliveries/${entry.id}`);
    await assertSees(page, "The endpoint has taken it.");
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 1);
  });

  test("deletes after a confirmation", async (t) => {
    const { page, ...scene } = await openWebhook(t);
    await page.getByRole("link", { name: "Delete webhook…" }).click();
    await page.getByRole("heading", { name: "Delete this webhook?" }).waitFor();
    await page.getByRole("link", { name: "Keep it" }).click();
    await page.getByRole("link", { name: "Delete webhook…" }).click();
    await page.getByRole("button", { name: "Delete webhook" }).click();
    await assertSees(page, "Webhook deleted.");
    await assertSees(page, "No webhooks yet");
    assert.equal((await relay.fetch(pathOf(scene))).status, 404);
  });

  test("has no buttons for a read-only key", async (t) => {
    const { page } = await openWebhook(t, { scopes: ["webhooks:read"] });
    const buttons = await page.getByRole("button").allTextContents();
    assert.deepEqual(buttons.map((text) => text.trim()).sort(), ["Filter", "Search", "Sign out"]);
    await assertSees(page, "Read only");
    assert.equal(await page.getByText("Edit settings").count(), 0);
    assert.equal(await page.getByRole("link", { name: /Delete|Add/ }).count(), 0);
  });
});
