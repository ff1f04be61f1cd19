// A page costs one call to the workspace's object, and one call to the object of each webhook on it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRelay } from "../support/relay.js";
import { acceptForOne, alert, awaitSettled, setUpWebhook } from "../support/steps.js";
import { assertPage, signIn } from "../support/visitor.js";

let relay;
before(async () => (relay = await startRelay({ hooks: true })));
after(() => relay?.stop());

test("each page is answered in one round trip to each of its objects", async (t) => {
  const scene = await setUpWebhook(t, relay, undefined);
  const { workspace, webhook } = scene;
  const other = await setUpWebhook(t, relay, undefined, { workspace, events: ["agent.error"] });
  const entry = await acceptForOne(relay, workspace, alert({ event_id: "order-19" }));
  await awaitSettled(relay, workspace, entry);
  const visitor = await signIn(relay, workspace);
  const page = `/settings/webhooks/${webhook.id}`;

  const own = { [workspace]: 1 };
  const one = { ...own, [`${workspace}/${webhook.id}`]: 1 };
  const both = { ...one, [`${workspace}/${other.webhook.id}`]: 1 };
  const EXPECTED = [
    ["/sign-in", {}],
    ["/settings/webhooks", both],
    ["/settings/webhooks/new", own],
    [page, one],
    [`${page}?chart=7d&test=${entry.id}&created=${entry.id}&status=delivered`, one],
    [`${page}/resend`, one],
    [`${page}/resend?ids=${entry.id}`, one],
    [`${page}/delete`, own],
    [`${page}/deliveries/${entry.id}`, one],
    ["/settings/events", own],
    ["/settings/events?id=order-19", both],
  ];
  for (const [path, calls] of EXPECTED) {
    const answer = await visitor.get(path);
    assertPage(answer);
    assert.deepEqual(JSON.parse(answer.headers.get("x-object-calls")), calls, String(path));
  }
  const { headers } = await visitor.post(`${page}/disable`);
  // The workspace's object passes the change on to the webhook's object.
  assert.deepEqual(JSON.parse(headers.get("x-object-calls")), one);
});
