// The pace of a webhook in a browser: setting it, pausing, and what to do where an ordered webhook is held up.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertFits, assertSees, signInOn, startBrowser } from "../support/browser.js";
import { answerWith } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { acceptForOne, answered, awaitDelivery, awaitSettled, pathOf, setUpWebhook } from "../support/steps.js";

let relay;
let browser;
before(async () => {
  [relay, browser] = await Promise.all([startRelay(), startBrowser()]);
});
after(async () => {
  await browser?.stop();
  await relay?.stop();
});

const read = async (scene) => answered(await relay.fetch(pathOf(scene)), 200);
const failedOnce = ({ attempt_count: made, next_attempt_at: next }) => made === 1 && next !== null;

/** A page signed in to the scene's workspace. */
async function openPage(t, { workspace }, window = {}) {
  const page = await browser.open(t, relay, window);
  await signInOn(page, relay, workspace);
  return page;
}

/** An ordered webhook whose endpoint has failed the first of two events: its retry is an hour away. */
async function holdUp(t) {
  let works = false;
  const scene = await setUpWebhook(t, relay, () => ({ status: works ? 200 : 500 }), {
    ordered: true,
    rate_limit: { per_second: 2.5 },
    retry_schedule: ["1h", "2h"],
  });
  const head = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, head, failedOnce);
  const behind = await acceptForOne(relay, scene.workspace);
  return { ...scene, head, behind, home: `/settings/webhooks/${scene.webhook.id}`, mend: () => (works = true) };
}

for (const script of [true, false]) {
  describe(script ? "with a script" : "without a script", () => {
    test("a webhook is added with a pace, which is folded away at first, changed and removed", async (t) => {
      const workspace = await createWorkspace(relay);
      const page = await openPage(t, { workspace }, { script });
      await page.goto("/settings/webhooks/new");
      const rate = page.getByLabel("Attempts a second");
      assert.equal(await rate.isVisible(), false);
      await page.getByText("order, rate limit, retry schedule").click();
      assert.equal(
        await page.getByLabel("Retry schedule").getAttribute("placeholder"),
        "200ms, 400ms, 600ms, 800ms, 1s",
      );
      await page.getByLabel("Endpoint URL").fill("http://127.0.0.1:9/hooks");
      await page.getByRole("checkbox", { name: "agent.error" }).check();
      await page.getByRole("checkbox", { name: /^In order/ }).check();
      await rate.fill("fast");
      await page.getByLabel("Retry schedule").fill("1m 10m");
      await page.getByRole("button", { name: "Save" }).click();

      await assertSees(page, "The webhook was not saved.");
      for (const [field, words] of [
        [rate, /from 0\.1 to 1000/],
        [page.getByLabel("Retry schedule"), /'1m 10m' is not a duration/],
      ]) {
        assert.ok(await field.isVisible(), "the errors are folded away");
        assert.equal(await field.getAttribute("aria-invalid"), "true");
        const described = (await field.getAttribute("aria-describedby")).split(" ");
        assert.match(await page.locator(`#${described.find((id) => id.endsWith("-error"))}`).textContent(), words);
      }
      assert.equal(await rate.inputValue(), "fast");
      assert.ok(await page.getByRole("checkbox", { name: /^In order/ }).isChecked());
      await rate.fill("0.5");
      await page.getByLabel("Retry schedule").fill("1m, 10m");
      await page.getByRole("button", { name: "Save" }).click();
      await assertSees(page, "Webhook created, but its ping failed.");
      for (const fact of ["One attempt at a time", "0.5 attempts a second", "1m, 10m"]) await assertSees(page, fact);

      await page.getByText("Edit settings").click();
      assert.equal(await rate.inputValue(), "0.5");
      await page.getByRole("checkbox", { name: /^In order/ }).uncheck();
      await rate.fill("");
      await page.getByLabel("Retry schedule").fill("");
      await page.getByRole("button", { name: "Save" }).click();
      await assertSees(page, "Settings saved.");
      const [webhook] = answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`), 200).data;
      assert.deepEqual([webhook.ordered, webhook.rate_limit, webhook.retry_schedule], [false, null, null]);
    });

    test("a webhook is paused, says so everywhere, and is resumed", async (t) => {
      const scene = await setUpWebhook(t, relay);
      const page = await openPage(t, scene, { script });
      await page.goto(`/settings/webhooks/${scene.webhook.id}`);
      await page.getByRole("button", { name: "Pause" }).click();
      await assertSees(page, "Webhook paused.");
      await assertSees(page, "Paused since");
      assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0);
      await page.getByRole("button", { name: "Disable", exact: true }).waitFor();
      const entry = await acceptForOne(relay, scene.workspace);
      await page.reload();
      await assertSees(page, "Due since");
      await page.goto("/settings/webhooks");
      const listed = page.getByRole("listitem").filter({ hasText: scene.webhook.url });
      await listed.getByText("Paused", { exact: true }).waitFor();
      await page.goto(`/settings/webhooks/${scene.webhook.id}/deliveries/${entry.id}`);
      await assertSees(page, "The webhook is paused: this event waits until it is enabled again.");
      assert.equal(await page.getByRole("button", { name: "Send now" }).count(), 0);
      assert.equal(scene.receiver.events().length, 0);

      await page.goto(`/settings/webhooks/${scene.webhook.id}`);
      await page.getByRole("button", { name: "Resume" }).click();
      await assertSees(page, "Webhook enabled.");
      await awaitSettled(relay, scene.workspace, entry);
      assert.equal((await read(scene)).status, "enabled");
    });

    test("an event that holds up an ordered webhook is sent now from the webhook's page", async (t) => {
      const scene = await holdUp(t);
      const page = await openPage(t, scene, { script });
      await page.goto(scene.home);
      await assertSees(page, `Waits for ${scene.head.id}`);
      const row = page.getByRole("row").filter({ has: page.locator(`a[href$="${scene.behind.id}"]`) });
      await row.getByText(`waits for ${scene.head.id}`).waitFor();
      scene.mend();
      await page.getByRole("button", { name: "Send now", exact: true }).click();
      await assertSees(page, "The next attempt is due now.");
      assert.ok(page.url().includes(`/deliveries/${scene.head.id}`));
      for (const entry of [scene.head, scene.behind])
        assert.equal((await awaitSettled(relay, scene.workspace, entry)).status, "delivered");
    });

    test("an event that holds up an ordered webhook is skipped from the page of one that waits for it", async (t) => {
      const scene = await holdUp(t);
      const page = await openPage(t, scene, { script });
      await page.goto(`${scene.home}/deliveries/${scene.behind.id}`);
      await page.getByRole("link", { name: scene.head.id }).waitFor();
      scene.mend();
      await page.getByRole("button", { name: "Skip" }).click();
      await assertSees(page, "Delivery cancelled.");
      await awaitSettled(relay, scene.workspace, scene.behind);
      assert.equal(scene.receiver.attemptsOf(scene.head.id).length, 1);
      await page.goto(scene.home);
      await page.getByRole("heading", { name: "Deliveries" }).waitFor();
      assert.equal(await page.getByText("Waits for").count(), 0);
    });
  });
}

test("an event whose retry is hours away is sent now from its page", async (t) => {
  const scene = await setUpWebhook(t, relay, answerWith(500), { retry_schedule: ["1h", "2h"] });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, failedOnce);
  const page = await openPage(t, scene);
  await page.goto(`/settings/webhooks/${scene.webhook.id}/deliveries/${entry.id}`);
  await page.getByRole("button", { name: "Send now" }).click();
  await assertSees(page, "The next attempt is due now.");
  await awaitDelivery(relay, scene.workspace, entry, ({ attempt_count: made }) => made === 2);
});

test("all that is pending is sent at once from the webhook's page", async (t) => {
  let works = false;
  const scene = await setUpWebhook(t, relay, () => ({ status: works ? 200 : 500 }), { retry_schedule: ["1h", "2h"] });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitDelivery(relay, scene.workspace, entry, failedOnce);
  works = true;
  const page = await openPage(t, scene);
  await page.goto(`/settings/webhooks/${scene.webhook.id}?status=pending`);
  await page.getByRole("link", { name: "Send pending events now" }).click();
  await page.getByRole("button", { name: "Send 1 event now" }).click();
  await assertSees(page, "The resend has ended");
  assert.equal((await awaitSettled(relay, scene.workspace, entry)).attempt_count, 2);
});

describe("the pages of a pace are accessible and fit", () => {
  let scenes;
  before(async () => {
    const held = await holdUp({ after });
    const paused = await setUpWebhook({ after }, relay, undefined, { workspace: await createWorkspace(relay) });
    answered(await relay.fetch(pathOf(paused), { method: "PATCH", body: { status: "paused" } }), 200);
    const waiting = await acceptForOne(relay, paused.workspace);
    scenes = [
      [
        held,
        {
          "an ordered webhook": held.home,
          "what it waits for": `${held.home}/deliveries/${held.head.id}`,
          "what waits": `${held.home}/deliveries/${held.behind.id}`,
          "the events page": `/settings/events?id=${held.behind.id}`,
          "the form": "/settings/webhooks/new",
        },
      ],
      [
        paused,
        {
          "the list": "/settings/webhooks",
          "a paused webhook": `/settings/webhooks/${paused.webhook.id}`,
          "what waits in it": `/settings/webhooks/${paused.webhook.id}/deliveries/${waiting.id}`,
        },
      ],
    ];
  });

  for (const scheme of /** @type {const} */ (["light", "dark"])) {
    for (const width of [1280, 390]) {
      test(`${scheme}, ${width} px wide`, async (t) => {
        for (const [scene, addresses] of scenes) {
          const page = await openPage(t, scene, { scheme, width });
          for (const [name, address] of Object.entries(addresses)) {
            await page.goto(address);
            await page.evaluate(() => {
              for (const more of document.querySelectorAll("details")) more.open = true;
            });
            await assertAccessible(page, name);
            await assertFits(page, name);
          }
        }
      });
    }
  }
});
