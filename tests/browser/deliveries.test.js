// What a customer sees of deliveries: failures in plain words, tests with their answer, resends with their progress,
// hostile answers as harmless text, and code that verifies a signature.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith, hang } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptArray, acceptForOne, alert, awaitSettled, setUpWebhook } from "../support/steps.js";

/** @import { Answer, WebhookOptions } from "../support/types.d.ts" */

const VARS = { RETRY_SCHEDULE: "20ms,20ms,20ms,20ms,20ms", ATTEMPT_TIMEOUT: "2s" };

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
 * A webhook with its page open, signed in, in a window of the given size.
 * @param {import("node:test").TestContext} t
 * @param {Answer} answer
 * @param {WebhookOptions & { window?: object }} [options]
 */
async function openWebhook(t, answer, { window, ...settings } = {}) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  return { ...scene, page, home: `/settings/webhooks/${scene.webhook.id}` };
}

/** Posts events that all end failed. */
async function failEvents(scene, count) {
  const accepted = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: count }, () => alert()),
  );
  const entries = accepted.map(({ deliveries: [entry] }) => entry);
  await Promise.all(entries.map((entry) => awaitSettled(relay, scene.workspace, entry, { timeout: 30_000 })));
  return entries;
}

describe("a failing endpoint", () => {
  test("has its deliveries in the log, each attempt in plain words", async (t) => {
    const turns = answerInTurn(
      answerWith(500, { "x-trace": "abc" }, "out of memory"),
      hang,
      answerWith(302, { location: "/" }),
      503,
    );
    const { page, home, ...scene } = await openWebhook(t, turns);
    const [entry] = await failEvents(scene, 1);
    await page.goto(home);
    const row = page.getByRole("row").filter({ hasText: entry.id });
    await row.getByText("Failed").waitFor();
    await row.getByText("503", { exact: true }).waitFor();
    await row.getByRole("link", { name: "alert.triggered" }).click();

    await assertSees(page, "Every attempt failed.");
    const attempts = page.getByRole("listitem").filter({ hasText: "Attempt " });
    const told = await attempts.locator(":scope > p:first-child").allTextContents();
    assert.deepEqual(
      told.map((text) => text.replace(/\s+/g, " ").trim()),
      [
        ...[6, 5, 4].map((number) => `Attempt ${number} The endpoint answered 503 Service Unavailable.`),
        "Attempt 3 The endpoint answered 302 Found. Redirects are not followed.",
        "Attempt 2 The endpoint did not answer within 2 seconds.",
        "Attempt 1 The endpoint answered 500 Internal Server Error.",
      ],
    );
    await attempts.last().getByRole("link", { name: "Open attempt 1" }).click();
    await assertSees(page, "out of memory");
    await attempts.last().locator("summary", { hasText: "Response headers" }).click();
    await attempts.last().getByRole("row", { name: "x-trace abc" }).waitFor();
    await page.getByLabel("Payload", { exact: true }).getByText('"alert_id": "alrt_xyz"').waitFor();
  });

  test("is found by status, type and id, page by page", async (t) => {
    const { page, home, ...scene } = await openWebhook(t, answerInTurn(answerWith(410), answerWith(200)));
    const failed = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, failed);
    await page.goto(home);
    await page.getByRole("row").getByText("410", { exact: true }).waitFor();
    await page.getByLabel("Status").selectOption("Delivered");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByLabel("Event type", { exact: true }).waitFor();
    assert.equal(await page.getByRole("row").filter({ hasText: failed.id }).count(), 0);
    await page.getByLabel("Status").selectOption("Failed");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByRole("row").filter({ hasText: failed.id }).waitFor();
    await page.getByLabel("Event type", { exact: true }).selectOption("agent.error");
    await page.getByRole("button", { name: "Filter" }).click();
    await assertSees(page, "No delivery matches.");
    await page.getByLabel("Event", { exact: true }).fill(failed.id);
    await page.getByRole("button", { name: "Filter" }).click();
    await assertSees(page, "The endpoint answered 410 Gone: it wants no more events.");
    await page.goto(`${home}?id=evt_nonsense`);
    await assertSees(page, "This webhook has no delivery of that event.");
  });
});

describe("a test event", () => {
  test("shows on the page what was sent and what the receiver answered", async (t) => {
    const { page, home, receiver } = await openWebhook(
      t,
      answerWith(418, { "x-kettle": "short and stout" }, "I am a teapot"),
    );
    await page.goto(home);
    await page.getByText("Send test event").click();
    await page.getByLabel("Event type to test").selectOption("policy.violated");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await assertSees(page, "Test event sent, and its attempt failed.");
    await assertSees(page, "The endpoint answered 418 I'm a teapot.");
    await assertSees(page, "I am a teapot");
    const [sent] = receiver.events();
    assert.equal(sent.headers["x-secureagentics-event"], "policy.violated");
    await page.locator("summary", { hasText: "Request headers" }).click();
    const signature = sent.headers["x-secureagentics-signature"];
    await page.getByRole("row", { name: `x-secureagentics-signature ${signature}` }).waitFor();
    await page.locator("summary", { hasText: "Response headers" }).click();
    await page.getByRole("row", { name: "x-kettle short and stout" }).waitFor();
    await page.getByLabel("Request body").getByText("pol_no_secrets").waitFor();
  });
});

describe("resending", () => {
  test("one delivery sends it once more", async (t) => {
    let works = false;
    const { page, home, ...scene } = await openWebhook(t, () => ({ status: works ? 200 : 500 }));
    const [entry] = await failEvents(scene, 1);
    works = true;
    await page.goto(`${home}/deliveries/${entry.id}`);
    await page.getByRole("button", { name: "Resend" }).click();
    await assertSees(page, "The event is being resent.");
    await awaitSettled(relay, scene.workspace, entry);
    await page.reload();
    await assertSees(page, "The endpoint has taken it.");
    await assertSees(page, "Attempt 7");
  });

  test("all failed ones shows its progress live, and can be stopped", async (t) => {
    /** @type {Answer} */
    let answer = answerWith(500);
    const { page, home, ...scene } = await openWebhook(t, (request, number) => answer(request, number));
    await failEvents(scene, 60);
    const waiting = [];
    answer = () => (response) => waiting.push(response);
    await page.goto(home);
    await page.getByRole("link", { name: "Resend failed events" }).click();
    await page.getByRole("button", { name: "Resend 60 events" }).click();
    await assertSees(page, "Resending 60 events.");
    const progress = page.getByRole("progressbar");
    assert.equal(await progress.getAttribute("max"), "60");
    // The page updates by itself: the endpoint answers three requests, and the bar moves.
    await eventually(() => waiting.length >= 3);
    for (const response of waiting.splice(0, 3)) response.writeHead(200).end();
    await assertSees(page, /done: [3-9] arrived/);
    assert.ok(Number(await progress.getAttribute("value")) >= 3);
    await page.getByRole("button", { name: "Stop" }).click();
    await assertSees(page, "The resend was stopped");
    answer = answerWith(200);
    for (const response of waiting) response.writeHead(200).end();
    await page.getByRole("link", { name: "Resend failed events" }).click();
    await page.getByRole("button", { name: /^Resend \d+ events$/ }).click();
    await page.locator("#resend").getByText("The resend has ended: ").waitFor();
  });
});

describe("hostile text", () => {
  const WORD = "W".repeat(10_000);
  const BODY = `<script>alert("run")</script><img src=x onerror=alert(1)>\u202egnp.exe\u0007${WORD}`;

  test("in answers, payloads and descriptions is shown as text, and fits a phone", async (t) => {
    const description = `</textarea><script>alert("described")</script>\u202e${"W".repeat(900)}`;
    const headers = { "x-odd": `"><script>alert(2)</script>${"w".repeat(2_000)}` };
    const { page, home, ...scene } = await openWebhook(t, answerWith(500, headers, BODY), {
      description,
      window: { width: 390 },
    });
    const entry = await acceptForOne(relay, scene.workspace, alert({ data: { text: BODY } }));
    await awaitSettled(relay, scene.workspace, entry);
    for (const address of [
      "/settings/webhooks",
      home,
      `${home}/deliveries/${entry.id}`,
      `/settings/events?id=${entry.id}`,
    ]) {
      const answer = await page.goto(address);
      assert.ok((await answer.body()).length < 50 * 1024, address);
      assert.equal(await page.locator("script:not([src]), img").count(), 0, address);
      for (const more of await page.locator("summary").all()) await more.click();
      await assertFits(page, address);
    }
    await page.goto(`${home}/deliveries/${entry.id}`);
    await assertSees(page, '<script>alert("run")</script>');
    await assertSees(page, "[U+202E]gnp.exe[U+0007]");
    await assertSees(page, "Cut here");
  });
});

test("the JavaScript on the page verifies what the relay sends, and refuses what was changed", async (t) => {
  const { page, home, ...scene } = await openWebhook(t, answerWith(200), { secret: "your-signing-secret" });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitSettled(relay, scene.workspace, entry);
  await page.goto(`${home}/deliveries/${entry.id}`);
  await page.getByText("JavaScript", { exact: true }).click();
  await page.getByRole("button", { name: "Copy the JavaScript code" }).click();
  const code = await page.evaluate(() => navigator.clipboard.readText());

  const folder = await mkdtemp(path.join(tmpdir(), "copied-code-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  // Listens on a free port of 127.0.0.1 and prints it; the rest is as copied.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a program's text
  const listen = "server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));";
  await writeFile(path.join(folder, "endpoint.mjs"), code.replace(/^server\.listen.*$/m, listen));
  const child = spawn(process.execPath, ["endpoint.mjs"], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill();
    await ended;
  });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const [{ body, headers }] = scene.receiver.events();
  const post = async (payload) => {
    const signature = headers["x-secureagentics-signature"];
    const target = `http://127.0.0.1:${line.split(" ")[1]}/`;
    return (
      await fetch(target, { method: "POST", body: payload, headers: { "x-secureagentics-signature": signature } })
    ).status;
  };
  assert.equal(await post(body), 200);
  assert.equal(await post(Buffer.concat([body, Buffer.from(" ")])), 400);
});
