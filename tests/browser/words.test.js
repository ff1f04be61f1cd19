// The words on the pages: those of the field, one for each thing, and refusals that say what is allowed.
import { after, before, test } from "node:test";
import { assertSees, signInOn, startBrowser } from "../support/browser.js";
import { refusedUrl } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";

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

test("W9: a refused field is called as its label is, and the refusal says what is allowed", async (t) => {
  const page = await browser.open(t, relay);
  await signInOn(page, relay, await createWorkspace(relay));
  await page.goto("/settings/webhooks/new");
  await page.getByRole("checkbox", { name: "alert.triggered" }).check();
  for (const [url, refusal] of [
    ["ftp://hooks.example.com/", "The URL must use https or http."],
    ["https://hooks.example.com/#a", "The URL must not contain a fragment; delete '#' and what follows."],
    ["https://a@hooks.example.com/", "send a credential in a custom header."],
  ]) {
    await page.getByLabel("Endpoint URL").fill(url);
    await page.getByLabel("Signing secret").fill("short");
    await page.getByRole("button", { name: "Save" }).click();
    await assertSees(page, refusal);
    await assertSees(page, "The secret must have 8 to 256 characters.");
  }
  await page.getByLabel("Endpoint URL").fill(await refusedUrl());
  await page.getByLabel("Signing secret").fill("long-enough");
  await page.getByRole("button", { name: "Save" }).click();
  await assertSees(page, "Correct the endpoint or the URL, then send a test event.");
});
