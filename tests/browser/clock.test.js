// One clock: every time on a page, and every time typed into it, is in the zone that the page names.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, awaitDelivery, awaitSettled, readDelivery, setUpWebhook } from "../support/steps.js";

const HOUR = 3_600_000;

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

/** What the clocks of a zone show, as a date field takes it, to the second. */
function wallTime(at, timeZone) {
  const shown = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone }).format(at);
  return shown.replace(" ", "T");
}

/** The time in a date field, to the second: a browser leaves out seconds that are zero. */
const timeIn = async (field) => (await field.inputValue()).replace(/T\d\d:\d\d$/, "$&:00");

/** A webhook with one failed event, and its page. */
async function openLog(t, window) {
  const scene = await setUpWebhook(t, relay, answerWith(410));
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitSettled(relay, scene.workspace, entry);
  const { created_at: created } = await readDelivery(relay, scene.workspace, entry);
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, scene.workspace);
  const home = `/settings/webhooks/${scene.webhook.id}`;
  await page.goto(home);
  return { ...scene, page, entry, home, at: Date.parse(created) };
}

// Chromium has the older name of this zone.
const NAMES = { "Asia/Kolkata": "Asia/Calcutta" };

const READERS = [
  { zone: "America/Los_Angeles", script: true },
  { zone: "Asia/Kolkata", script: true },
  { zone: "Australia/Lord_Howe", script: true },
  { zone: "America/Los_Angeles", script: false },
];

for (const { zone, script } of READERS) {
  const named = script ? (NAMES[zone] ?? zone) : "UTC";
  describe(`a reader in ${zone}, ${script ? "with" : "without"} a script`, () => {
    test("W2: filters by times of the zone that the page names, and the address holds UTC", async (t) => {
      const { page, entry, at } = await openLog(t, { zone, script });
      await page.getByText("Exact times").click();
      await assertSees(page, `Times are in ${named}.`);
      const filter = page.locator("form.filters");
      const row = page.getByRole("row").filter({ hasText: entry.id });
      for (const [from, until, expected] of [
        [at - 600_000, at + 600_000, 1],
        [at - 1_200_000, at - 600_000, 0],
        [at - 2_000, at + 2_000, 1],
      ]) {
        await filter.getByLabel(`From ${named}`).fill(wallTime(from, named));
        await filter.getByLabel(`Until ${named}`).fill(wallTime(until, named));
        await filter.getByRole("button", { name: "Filter" }).click();
        const instant = Math.floor(from / 1_000) * 1_000;
        await page.waitForURL((url) => {
          const since = url.searchParams.get("since") ?? "";
          return Date.parse(since.endsWith("Z") ? since : `${since}Z`) === instant;
        });
        assert.equal(await row.count(), expected);
        assert.equal(await timeIn(filter.getByLabel(`From ${named}`)), wallTime(from, named));
      }
      await page.reload();
      assert.equal(await timeIn(filter.getByLabel(`Until ${named}`)), wallTime(at + 2_000, named));
    });

    test("W2: resends what failed in a period of that zone, and nothing of another", async (t) => {
      const { page, entry, at, ...scene } = await openLog(t, { zone, script });
      await page.getByRole("button", { name: "Enable" }).click();
      await page.getByRole("link", { name: "Resend failed events" }).click();
      for (const [from, until, words] of /** @type {[number, number, string][]} */ ([
        [at - 2 * HOUR, at - HOUR, "Nothing to resend"],
        [at - 60_000, at + 60_000, "1 failed event will be resent"],
      ])) {
        await page.getByLabel(`Created from ${named}`).fill(wallTime(from, named));
        await page.getByLabel(`Until ${named}`).fill(wallTime(until, named));
        await page.getByRole("button", { name: "Count again" }).click();
        await page.getByRole("heading", { name: words }).waitFor();
        assert.equal(await timeIn(page.getByLabel(`Until ${named}`)), wallTime(until, named));
      }
      await page.getByRole("button", { name: "Resend 1 event" }).click();
      await assertSees(page, "The resend has begun.");
      await awaitDelivery(relay, scene.workspace, entry, ({ attempt_count: made }) => made === 2);
    });

    test("W2: finds an event by the time at which it was posted", async (t) => {
      const { page, at } = await openLog(t, { zone, script });
      const posted = at + 5_000;
      await page.goto("/settings/events");
      await page.getByLabel("Event id").fill("never-posted");
      await page.getByText("The event reached no webhook").click();
      await page.getByLabel("Event type").selectOption("alert.triggered");
      await page.getByLabel(`Posted at ${named}`).fill(wallTime(posted, named));
      await page.getByRole("button", { name: "Find", exact: true }).click();
      const found = page.locator("#found + p time");
      assert.equal(await found.getAttribute("datetime"), new Date(Math.floor(posted / 1_000) * 1_000).toISOString());
    });

    test("W6: shows the seconds of each time in that zone", async (t) => {
      const { page, at } = await openLog(t, { zone, script });
      const [seconds] = wallTime(at, named).match(/\d\d:\d\d:\d\d$/);
      const cell = page.locator("table.log tbody td.at time").first();
      assert.ok((await cell.textContent()).includes(seconds), await cell.textContent());
    });
  });
}

describe("a change of the clocks", () => {
  for (const [zone, from, to, hour, remark] of /** @type {[string, string, string, string, RegExp][]} */ ([
    ["America/Los_Angeles", "2026-03-08T02:30:00", "", "", /does not exist in America\/Los_Angeles/],
    ["Australia/Lord_Howe", "2026-10-04T02:15:00", "", "", /does not exist in Australia\/Lord_Howe/],
    ["America/Los_Angeles", "2026-11-01T01:30:00", "2026-11-01T01:30:00", "60", /comes twice in America\/Los_Angeles/],
    ["Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-05T01:45:00", "30", /comes twice in Australia\/Lord_Howe/],
  ])) {
    test(`W2: that ${to ? "doubles" : "skips"} a time in ${zone} is said at the field`, async (t) => {
      const { page } = await openLog(t, { zone });
      await page.getByText("Exact times").click();
      const filter = page.locator("form.filters");
      await filter.getByLabel(`From ${zone}`).fill(from);
      await page.locator("#since-clock").getByText(remark).waitFor();
      const before = page.url();
      if (to) await filter.getByLabel(`Until ${zone}`).fill(to);
      await filter.getByRole("button", { name: "Filter" }).click();
      if (!to) {
        assert.equal(page.url(), before, "a time that does not exist was sent");
        assert.equal(await page.evaluate(() => document.activeElement.id), "since");
        return;
      }
      // The beginning is the first, the end the second: a window that holds both.
      await page.waitForURL(/since=/);
      const { searchParams } = new URL(page.url());
      const [since, until] = ["since", "until"].map((name) => Date.parse(searchParams.get(name)));
      assert.equal((until - since) / 60_000, Number(hour));
      await page
        .locator("#until-clock")
        .getByText(/This is the second/)
        .waitFor();
    });
  }

  test("a time before and one after it are what they are", async (t) => {
    const { page } = await openLog(t, { zone: "America/Los_Angeles" });
    await page.getByText("Exact times").click();
    const since = page.locator("form.filters").getByLabel("From America/Los_Angeles");
    for (const [typed, instant] of [
      ["2026-03-08T01:59:59", "2026-03-08T09:59:59.000Z"],
      ["2026-03-08T03:00:00", "2026-03-08T10:00:00.000Z"],
      ["2026-11-01T00:59:59", "2026-11-01T07:59:59.000Z"],
      ["2026-11-01T02:00:00", "2026-11-01T10:00:00.000Z"],
    ]) {
      await since.fill(typed);
      assert.equal(await since.getAttribute("data-at"), instant);
      assert.equal(await page.locator("#since-clock").textContent(), "");
    }
  });
});

test("W6: distances move by themselves, and a retry counts down", async (t) => {
  const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h"] });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, (delivery) => delivery.next_attempt_at !== null);
  const page = await browser.open(t, relay);
  await page.clock.install();
  await signInOn(page, relay, scene.workspace);
  await page.goto(`/settings/webhooks/${scene.webhook.id}`);
  const next = page.locator(".log td.next time");
  await page.clock.runFor(10_000);
  assert.match(await next.textContent(), /^in 59 minutes$/);
  await page.clock.runFor(3_575_000);
  assert.match(await next.textContent(), /^in \d\d? seconds$/);
});

test("W11: a reader with another language gets the dates of the page's", async (t) => {
  const { page, at } = await openLog(t, { zone: "Europe/Berlin", locale: "de-DE" });
  const time = page.getByRole("definition").locator("time").first();
  const month = new Intl.DateTimeFormat("en-GB", { month: "short", timeZone: "Europe/Berlin" }).format(at);
  assert.match(await time.textContent(), new RegExp(`^\\d+ ${month} \\d{4}, .*\\((now|.*ago)\\)$`));
});

test("times can be switched to UTC and back, fields too, and the choice is kept", async (t) => {
  const { page, at } = await openLog(t, { zone: "Asia/Kolkata" });
  await page.getByText("Exact times").click();
  await page.locator("#since").fill(wallTime(at, "Asia/Kolkata"));
  await page.getByRole("button", { name: "Show times in UTC" }).click();
  await assertSees(page, "Times are in UTC.");
  assert.equal(await timeIn(page.locator("#since")), wallTime(at, "UTC"));
  await assertAccessible(page, "with the switch");
  await page.reload();
  await assertSees(page, "Times are in UTC.");
  await page.getByRole("button", { name: `Show times in ${NAMES["Asia/Kolkata"]}` }).click();
  await assertSees(page, `Times are in ${NAMES["Asia/Kolkata"]}.`);
});

test("a period that ends before it begins is refused at its field", async (t) => {
  const { page } = await openLog(t, { script: false });
  await page.getByText("Exact times").click();
  await page.locator("#since").fill("2026-01-15T10:30:00");
  await page.locator("#until").fill("2026-01-15T10:00:00");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.locator("#until-error").getByText("Choose a time after the one in From.").waitFor();
});
