// Access: links that work once, forms of other sites, other workspaces' pages; and everything without JavaScript.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerInTurn, answerWith, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";
import { createLink } from "../support/visitor.js";

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

describe("signing in", () => {
  test("by a link works once, and opening it does not use it up", async (t) => {
    const workspace = await createWorkspace(relay);
    const { url } = await createLink(relay, workspace);
    const link = new URL(url).pathname + new URL(url).search;
    const scanner = await browser.open(t, relay);
    await scanner.goto(link);
    const page = await browser.open(t, relay);
    await page.goto(link);
    await page.getByRole("button", { name: "Sign in" }).click();
    await assertSees(page, "No webhooks yet");
    await scanner.getByRole("button", { name: "Sign in" }).click();
    await assertSees(scanner, "This link is not valid: it was used before, or it has expired.");
    await scanner.goto("/settings/webhooks");
    await scanner.getByLabel("API key").waitFor();
  });

  test("by a link shows whose it is, and which session it ends", async (t) => {
    const [own, theirs] = [await createWorkspace(relay), await createWorkspace(relay)];
    const { url } = await createLink(relay, theirs);
    const page = await browser.open(t, relay);
    await signInOn(page, relay, own);
    await page.goto(new URL(url).pathname + new URL(url).search);
    await assertSees(page, `This link opens the workspace Test (${theirs}).`);
    await assertSees(page, `You are signed in to another workspace (${own}) in this browser.`);
    await page.getByRole("button", { name: "Sign in" }).click();
    await assertSees(page, "No webhooks yet");
    const list = (workspace) => relay.fetch(`/v1/workspaces/${workspace}/dashboard-links`);
    assert.deepEqual([(await list(own)).body.data.length, (await list(theirs)).body.data.length], [0, 1]);
  });

  test("with a wrong key shows an error beside the field, and signing out ends the session", async (t) => {
    const workspace = await createWorkspace(relay);
    const page = await browser.open(t, relay);
    await page.goto("/settings/webhooks/new");
    await page.getByLabel("API key").fill("sk_nobody_0000");
    await page.getByRole("button", { name: "Sign in" }).click();
    await assertSees(page, "This API key is not valid.");
    assert.equal(await page.getByLabel("API key").inputValue(), "");
    await signInOn(page, relay, workspace);
    await page.getByRole("button", { name: "Sign out" }).click();
    await assertSees(page, "You are signed out.");
    await page.goto("/settings/webhooks");
    await page.getByLabel("API key").waitFor();
  });

  test("leads to the requested page", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(200));
    const { key } = (
      await relay.fetch(`/v1/workspaces/${scene.workspace}/keys`, {
        method: "POST",
        body: { name: "x", scopes: ["webhooks:read"] },
      })
    ).body;
    const page = await browser.open(t, relay);
    await page.goto(`/settings/webhooks/${scene.webhook.id}`);
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: scene.webhook.url }).waitFor();
  });
});

describe("outsiders", () => {
  test("cannot post a form from their site", async (t) => {
    const scene = await setUpWebhook(t, relay, answerWith(200));
    const action = `${relay.origin}/settings/webhooks/${scene.webhook.id}/disable`;
    const lure = `<!doctype html><title>Lure</title><form method="post" action="${action}"><button>Win</button></form>`;
    const stranger = await startReceiver(answerWith(200, { "content-type": "text/html" }, lure));
    t.after(() => stranger.stop());
    const page = await browser.open(t, relay, { strangers: [stranger.origin] });
    await signInOn(page, relay, scene.workspace);
    await page.goto(stranger.origin);
    await page.getByRole("button", { name: "Win" }).click();
    await page.getByRole("heading", { name: "You may not do this" }).waitFor();
    assert.equal((await relay.fetch(pathOf(scene))).body.status, "enabled");
  });

  test("get 404 for another workspace's pages", async (t) => {
    const theirs = await setUpWebhook(t, relay, answerWith(200));
    const entry = await acceptForOne(relay, theirs.workspace);
    const page = await browser.open(t, relay);
    await signInOn(page, relay, await createWorkspace(relay));
    const address = `/settings/webhooks/${theirs.webhook.id}`;
    for (const path of [address, `${address}/delete`, `${address}/deliveries/${entry.id}`]) {
      const answer = await page.goto(path);
      assert.equal(answer.status(), 404, path);
      await page.getByRole("heading", { name: "Not found" }).waitFor();
      assert.ok(!(await page.content()).includes(theirs.webhook.url));
    }
  });
});

test("without JavaScript everything works with forms", async (t) => {
  const workspace = await createWorkspace(relay);
  let works = false;
  const receiver = await startReceiver(() => ({ status: works ? 200 : 500, body: "from the endpoint" }));
  t.after(() => receiver.stop());
  const page = await browser.open(t, relay, { script: false });
  await signInOn(page, relay, workspace);
  await page.getByRole("link", { name: "Add webhook" }).click();
  await page.getByLabel("Endpoint URL").fill(receiver.url);
  await page.getByRole("button", { name: "Save" }).click();
  await assertSees(page, "Choose at least one event type.");
  assert.equal(await page.getByLabel("Endpoint URL").inputValue(), receiver.url);
  await page.getByRole("checkbox", { name: "alert.triggered" }).check();
  await page.getByRole("button", { name: "Save" }).click();
  await assertSees(page, "Webhook created.");
  await page.getByRole("button", { name: "Reveal the secret" }).first().click();
  assert.match(await page.locator("#secret-value").textContent(), /^whsec_/);
  assert.equal(
    await page.getByRole("button", { name: /Copy|Generate/ }).count(),
    0,
    "what needs JavaScript is not shown",
  );

  await page.getByText("Send test event").click();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await assertSees(page, "from the endpoint");
  const answer = await page.reload();
  assert.equal(answer.request().method(), "GET", "a reload sends nothing again");

  const entry = await acceptForOne(relay, workspace);
  await awaitSettled(relay, workspace, entry);
  works = true;
  await page.getByRole("link", { name: "Resend failed events" }).click();
  await page.getByRole("button", { name: "Resend 1 event" }).click();
  await assertSees(page, "The resend has begun.");
  await awaitSettled(relay, workspace, entry);
  await page.reload();
  await assertSees(page, "The resend has ended: 1 arrived, 0 failed again.");
  const time = page.getByRole("definition").locator("time").first();
  assert.match(await time.textContent(), /UTC$/);
});

test("times are in the reader's time zone, with the exact UTC on hover", async (t) => {
  const scene = await setUpWebhook(t, relay, answerInTurn(200));
  const page = await browser.open(t, relay, { zone: "Asia/Tokyo" });
  await signInOn(page, relay, scene.workspace);
  await page.goto(`/settings/webhooks/${scene.webhook.id}`);
  const time = page.getByRole("definition").locator("time").first();
  const shown = await time.textContent();
  const [at, title] = [await time.getAttribute("datetime"), await time.getAttribute("title")];
  const tokyo = new Intl.DateTimeFormat("en-GB", {
    dateStyle: "medium",
    timeStyle: "medium",
    timeZone: "Asia/Tokyo",
  }).format(new Date(at));
  assert.ok(shown.startsWith(tokyo), `${shown} should begin with ${tokyo}`);
  assert.match(shown, /\(.*(second|minute|now).*\)$/);
  assert.match(title, /UTC$/);
  await assertSees(page, "Times are in Asia/Tokyo.");
});
