// Each page, light and dark, on a desktop and on a phone: axe-core finds nothing, and nothing is too wide, too heavy or
// out of the keyboard's reach.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { assertAccessible, assertFits, signInOn, startBrowser } from "../support/browser.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptArray, alert, answered, awaitSettled, pathOf, setUpWebhook, startResend } from "../support/steps.js";

// A PNG of 120 by 30 pixels in one colour.
const LOGO = png(120, 30);
const PAGE_LIMIT = 50 * 1024;
const EVERYDAY_LIMIT = 40_000;
const DELIVERIES = 52;

let relay;
let browser;
let scene;
let entries;
before(async () => {
  [relay, browser] = await Promise.all([
    startRelay({ vars: { RETRY_SCHEDULE: "10ms,10ms,10ms,10ms,10ms" } }),
    startBrowser(),
  ]);
  let number = 0;
  const answer = () => ({ status: ++number % 4 === 0 ? 500 : 200, headers: { "x-a": "b" }, body: "answered" });
  scene = await setUpWebhook({ after }, relay, answer, {
    description: "Pages the on-call engineer",
    headers: { "X-Team": "a" },
  });
  const accepted = await acceptArray(
    relay,
    scene.workspace,
    Array.from({ length: DELIVERIES }, () => alert()),
  );
  entries = accepted.map(({ deliveries: [entry] }) => entry);
  await Promise.all(entries.map((entry) => awaitSettled(relay, scene.workspace, entry, { timeout: 60_000 })));
  const test = answered(
    await relay.fetch(pathOf(scene, "/test"), { method: "POST", body: { type: "alert.triggered" } }),
    200,
  );
  const job = await startResend(relay, scene);
  Object.assign(scene, { test: test.id, job: job.id });
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** A PNG in base64: grey, without transparency. */
function png(width, height) {
  const number = (value) => Buffer.from(Uint32Array.of(value).buffer).reverse();
  const chunk = (type, data) => {
    const typed = Buffer.concat([Buffer.from(type), data]);
    return Buffer.concat([number(data.length), typed, number(crc32(typed))]);
  };
  const rows = Buffer.concat(Array.from({ length: height }, () => Buffer.from([0, ...Array(width).fill(0x80)])));
  const header = Buffer.concat([number(width), number(height), Buffer.from([8, 0, 0, 0, 0])]);
  const chunks = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...chunks]).toString("base64");
}

/** Name and address of each page for a signed-in visitor. */
function pages() {
  const webhook = `/settings/webhooks/${scene.webhook.id}`;
  return {
    list: "/settings/webhooks",
    add: "/settings/webhooks/new",
    webhook,
    "webhook with a test": `${webhook}?test=${scene.test}`,
    "webhook just created": `${webhook}?created=${scene.test}`,
    "webhook with a resend": `${webhook}?resend=${scene.job}&chart=7d`,
    "older deliveries": `${webhook}?cursor=${entries.map(({ id }) => id).sort()[1]}&status=delivered&range=24h`,
    "webhook that is resent": `${webhook}/resend`,
    "webhook of which nothing is resent": `${webhook}/resend?status=held&response_status=5xx`,
    "resend that is refused": `${webhook}/resend?status=delivered&since=yesterday&response_status=600&outcome=odd`,
    deletion: `${webhook}/delete`,
    delivery: `${webhook}/deliveries/${entries[0].id}`,
    "delivery of a test": `${webhook}/deliveries/${scene.test}`,
    event: `/settings/events?id=${entries[0].id}`,
    "event that is not known": "/settings/events?id=nobody-posted-this",
    search: "/settings/find",
    "search without a match": "/settings/find?q=nobody",
    "page that is not there": "/settings/webhooks/wh_00000000000070008000000000000000",
    documentation: "/docs",
    "way in": "/sign-in",
    "way in by link": `/sign-in?link=dl_x.${"0".repeat(64)}`,
  };
}

for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 390, 320]) {
    test(`every page is accessible and fits, ${scheme}, ${width} px wide`, async (t) => {
      const page = await browser.open(t, relay, { scheme, width });
      await signInOn(page, relay, scene.workspace);
      for (const [name, address] of Object.entries(pages())) {
        const answer = await page.goto(address);
        const { length } = await answer.body();
        if (scheme === "light" && width === 1280) t.diagnostic(`${name}: ${length} bytes`);
        // The everyday pages; a test with its answer, or an opened resend, may be as much more as it shows.
        const limit = ["list", "webhook", "delivery"].includes(name) ? EVERYDAY_LIMIT : PAGE_LIMIT;
        assert.ok(length < limit, `${name} has ${length} bytes`);
        // Opened sections are part of the page.
        await page.evaluate(() => {
          for (const more of document.querySelectorAll("details")) more.open = true;
        });
        await assertAccessible(page, name);
        await assertFits(page, name);
      }
    });
  }
}

describe("with another brand", () => {
  // As long as a name may be, a colour that neither black on it nor white around it makes easy, and a wide logo.
  const vars = {
    PRODUCT_NAME: "Acme & Söhne Maschinenbau und Software 2",
    HEADER_PREFIX: `X-${"Acme-".repeat(5)}Relay`,
    STANDARD_HEADERS: "webhook,svix",
    LOGO,
    SUPPORT_URL: "https://acme.example/support",
  };
  for (const accent of ["#ffde00", "#777777", "#0000ff"])
    test(`every page is accessible and fits, with the colour ${accent}`, async (t) => {
      const own = await startRelay({ vars: { ...vars, ACCENT_COLOR: accent } });
      t.after(() => own.stop());
      const { workspace, webhook } = await setUpWebhook(t, own);
      for (const scheme of ["light", "dark"]) {
        const page = await browser.open(t, own, { scheme, width: 390 });
        await signInOn(page, own, workspace);
        for (const address of [
          "/settings/webhooks",
          "/settings/webhooks/new",
          `/settings/webhooks/${webhook.id}`,
          "/docs",
        ]) {
          await page.goto(address);
          await assertAccessible(page, `${address}, ${scheme}`);
          await assertFits(page, `${address}, ${scheme}`);
        }
        await page.goto("/settings/webhooks");
        const logo = await page
          .locator("img.logo")
          .evaluate((/** @type {HTMLImageElement} */ image) => [
            image.complete && image.naturalWidth,
            image.getBoundingClientRect().height > 8,
          ]);
        assert.deepEqual(logo, [120, true]);
        assert.match(await page.title(), /Acme & Söhne/);
      }
    });
});

test("an empty workspace and a refused form are accessible too", async (t) => {
  const page = await browser.open(t, relay);
  await signInOn(page, relay, await createWorkspace(relay));
  await assertAccessible(page, "empty list");
  await page.goto("/settings/webhooks/new");
  await page.getByLabel("Endpoint URL").fill("http://localhost");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The webhook was not saved.").waitFor();
  await assertAccessible(page, "refused form");
});

describe("the keyboard", () => {
  test("reaches everything, with a visible focus", async (t) => {
    const page = await browser.open(t, relay);
    await signInOn(page, relay, scene.workspace);
    for (const [name, address] of Object.entries(pages())) {
      await page.goto(address);
      const wanted = await page.evaluate(() => {
        const kinds = "a[href], button:enabled, input:enabled:not([type=hidden]), select, textarea, summary";
        // The bars of a chart are one tab stop, in which the arrow keys go on.
        const seen = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(kinds))].filter(
          (one) => one.checkVisibility() && !one.matches(".bars [tabindex='-1']"),
        );
        for (const [index, one] of seen.entries()) one.dataset.reach = String(index);
        return seen.length;
      });
      const reached = new Set();
      // Each date field takes several tab stops, and so does each scrolling box.
      for (let stop = 0; stop < 4 * wanted + 40 && reached.size < wanted; stop++) {
        await page.keyboard.press("Tab");
        const focused = await page.evaluate(() => {
          const { dataset, tagName } = /** @type {HTMLElement} */ (document.activeElement);
          const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
          return { reach: dataset.reach, tagName, isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
        });
        if (focused.tagName !== "BODY") assert.ok(focused.isSeen, `${name}: focus on ${focused.tagName} is not seen`);
        if (focused.reach !== undefined) reached.add(focused.reach);
      }
      assert.equal(reached.size, wanted, `${name}: not everything is reached`);
    }
  });
});
