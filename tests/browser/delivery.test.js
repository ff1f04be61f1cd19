// A delivery to debug with: its newest attempt open, what was sent and answered, and what to do.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerInTurn, answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, alert, answered, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([
    startRelay({ vars: { RETRY_SCHEDULE: "20ms,20ms,20ms,20ms,20ms", ATTEMPT_TIMEOUT: "2s" } }),
    startBrowser(),
  ]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** The page of a delivery whose attempts are over. */
async function openDelivery(t, { answer, event = {}, scopes = undefined, window = {}, ...settings }) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  const entry = await acceptForOne(relay, scene.workspace, alert(event));
  await awaitSettled(relay, scene.workspace, entry, { timeout: 30_000 });
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace, scopes);
  const address = `/settings/webhooks/${scene.webhook.id}/deliveries/${entry.id}`;
  await page.goto(address);
  return { ...scene, entry, page, address };
}

const attempt = (page, number) => page.getByRole("listitem").filter({ hasText: new RegExp(`^\\s*Attempt ${number} `) });

test("the newest attempt is open, and older ones are a line each that says which answer they share", async (t) => {
  const page500 = answerWith(500, { "content-type": "text/html" }, "<h1>Oops</h1>");
  const { page } = await openDelivery(t, { answer: answerInTurn(answerWith(502, {}, "first"), page500) });
  assert.equal(await page.getByLabel("Response body").count(), 1);
  await page.getByLabel("Response body").getByText("<h1>Oops</h1>").waitFor();
  const lines = await page.locator("ol.timeline > li").evaluateAll((all) => all.map((line) => line.id));
  assert.equal(lines[0], "attempt");
  for (const number of [5, 4, 3, 2]) await attempt(page, number).getByText("same answer as attempt 6").waitFor();
  assert.equal(await attempt(page, 1).getByText("same answer").count(), 0);
  assert.ok((await page.evaluate(() => document.documentElement.scrollHeight)) < 2_400);
  await attempt(page, 1).getByRole("link", { name: "Open attempt 1" }).click();
  await page.getByLabel("Response body").getByText("first").waitFor();
  await assertAccessible(page, "an older attempt");
});

test("the request of each attempt is shown as it was sent", async (t) => {
  const { page, receiver, entry } = await openDelivery(t, { answer: answerWith(500), headers: { "X-Team": "it's" } });
  for (const number of [6, 2]) {
    if (number === 2) await attempt(page, 2).getByRole("link", { name: "Open" }).click();
    await assertSees(page, "Made again from the settings, which have not changed since.");
    await page.locator("summary", { hasText: "Request headers" }).click();
    const rows = await page
      .locator("#request-headers tr")
      .evaluateAll((all) => all.map((row) => [...row.children].map(({ textContent }) => textContent)));
    const sent = receiver.attemptsOf(entry.id)[number - 1].headers;
    for (const [name, value] of rows) assert.equal(value, sent[name], `${name} of attempt ${number}`);
    const extra = ["host", "content-length", "connection", "accept-encoding", "cf-", "x-forwarded", "cdn-loop"];
    const missing = Object.keys(sent).filter(
      (name) => !rows.some(([shown]) => shown === name) && !extra.some((begin) => name.startsWith(begin)),
    );
    assert.deepEqual(missing, []);
  }
});

test("a request of former settings is not made up: what is not known is said", async (t) => {
  const { page, ...scene } = await openDelivery(t, { answer: answerWith(500), headers: { "X-Team": "before" } });
  answered(
    await relay.fetch(pathOf(scene), { method: "PATCH", body: { headers: { "X-Team": "after-the-change" } } }),
    200,
  );
  await page.reload();
  await assertSees(page, "settings have changed since this attempt");
  await page.locator("summary", { hasText: "Request headers" }).click();
  await page.getByRole("row", { name: "x-team …" }).waitFor();
  await page.getByRole("row", { name: "x-secureagentics-signature …" }).waitFor();
});

describe("W9: what to do is said", () => {
  for (const [name, answer, advice] of /** @type {[string, any, RegExp][]} */ ([
    [
      "a redirect",
      answerWith(302, { location: "https://new.example.com/hooks" }),
      /Location.*https:\/\/new\.example\.com\/hooks/,
    ],
    ["401", answerWith(401), /a credential in a custom header/],
    ["404", answerWith(404), /Check the path/],
    ["410", answerWith(410), /Correct the endpoint, then enable/],
    ["500", answerWith(500), /Look in the endpoint's log/],
    ["no time", () => () => {}, /Answer 2xx as soon as the event is stored/],
    ["a hang-up", () => (response) => response.destroy(), /refused, reset or closed/],
  ]))
    test(`for ${name}`, async (t) => {
      const { page } = await openDelivery(t, { answer });
      await assertSees(page, "What to do:");
      await assertSees(page, advice);
    });
});

test("W11: an empty answer is empty, and a large one has its size and a download", async (t) => {
  const large = "x".repeat(200_000);
  const { page, address } = await openDelivery(t, {
    answer: answerInTurn(answerWith(500), answerWith(500, { "content-length": "200000" }, large)),
  });
  await assertSees(page, "The endpoint announced 200 kB");
  await assertSees(page, "the page shows the beginning only");
  assert.ok((await page.getByLabel("Response body").textContent()).length <= 8 * 1024 + 1);
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the response body" }).click();
  assert.match((await download).suggestedFilename(), /^evt_\w+-attempt-6\.txt$/);
  await page.goto(`${address}?attempt=1`);
  await assertSees(page, "The response had no body.");
  assert.equal(await page.getByText("Cut here").count(), 0);
});

test("a download is a file of plain text that no browser shows as a page", async (t) => {
  const html = "<script>alert(1)</script>";
  const { page, address, receiver } = await openDelivery(t, {
    answer: answerWith(500, { "content-type": "text/html" }, html),
    event: { data: { text: html } },
  });
  for (const [path, content] of [
    [`${address}/payload`, String(receiver.events()[0].body)],
    [`${address}/response?attempt=1`, html],
  ]) {
    const answer = await page.request.get(path);
    assert.equal(await answer.text(), content);
    const headers = answer.headers();
    assert.match(headers["content-disposition"], /^attachment; filename="evt_\w+[^"/]*"$/);
    assert.equal(headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(headers["x-content-type-options"], "nosniff");
  }
});

test("JSON is indented and coloured, or raw, without a style or a script of its own", async (t) => {
  const { page } = await openDelivery(t, {
    answer: answerWith(500, { "content-type": "application/json" }, '{"error":{"code":42,"ok":false}}'),
  });
  const body = page.getByLabel("Response body");
  assert.match(await body.textContent(), /\n {2}"error": \{\n {4}"code": 42,/);
  const colours = await body.evaluate((pre) => {
    const colour = (selector) => getComputedStyle(pre.querySelector(selector)).color;
    return [getComputedStyle(pre).color, colour("b"), colour("i")];
  });
  assert.equal(new Set(colours).size, 3);
  await page.getByRole("link", { name: "Raw" }).click();
  assert.equal((await body.textContent()).trim(), '{"error":{"code":42,"ok":false}}');
});

test("ids, payload, headers and the request as cURL are copied", async (t) => {
  const { page, entry, receiver } = await openDelivery(t, {
    answer: answerWith(500),
    event: { data: { text: `it's ${"<&".repeat(10)}`, long: "y".repeat(9_000) } },
  });
  const copied = async (name) => {
    const button = page.getByRole("button", { name, exact: true });
    await button.click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    await button.waitFor();
    return text;
  };
  assert.equal(await copied("Copy the delivery id"), entry.id);
  assert.equal(await copied("Copy the payload"), String(receiver.events()[0].body));
  await page.locator("summary", { hasText: "Request headers" }).click();
  assert.match(await copied("Copy the Request headers"), /^content-type: application\/json$/m);
  await page.getByText("As cURL", { exact: true }).click();
  const command = await copied("Copy as cURL");
  assert.match(command, /--data-binary '@evt_\w+\.json'$/);
  await assertSees(page, "the command reads it from");
});

test("the command of who may only read has no signature", async (t) => {
  const { page } = await openDelivery(t, { answer: answerWith(500), scopes: ["webhooks:read"] });
  await page.getByText("As cURL", { exact: true }).click();
  const command = await page.locator("#curl").textContent();
  assert.match(command, /--header 'x-secureagentics-signature: …'/);
  assert.match(command, /--header 'webhook-signature: …'/);
  await assertSees(page, "your key may not see them");
});

for (const scheme of ["light", "dark"])
  for (const width of [1280, 390, 320])
    test(`the page is accessible and fits with everything open, ${scheme}, ${width} px wide`, async (t) => {
      const answer = answerWith(500, { "content-type": "application/json" }, '{"a":[1,true,"text"]}');
      const { page, address } = await openDelivery(t, { answer, window: { scheme, width } });
      const { length } = await (await page.goto(address)).body();
      assert.ok(length < 40_000, `${length} bytes`);
      await page.evaluate(() => {
        for (const more of document.querySelectorAll("details")) more.open = true;
      });
      await assertAccessible(page, scheme);
      await assertFits(page, `${width}`);
    });
