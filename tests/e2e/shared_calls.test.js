// Posts that arrive together share calls of their webhook's object, which are billed; what happens to one does not hold up
// another.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { OPERATOR_TOKEN } from "../support/relay_options.js";
import { startRelay } from "../support/relay.js";
import { acceptEvent, acceptForOne, alert, awaitSettled, setUpWebhook } from "../support/steps.js";

const POSTS = 120;
const FANNED_OUT = 40;

describe("posts that arrive together", () => {
  let relay;
  before(async () => (relay = await startRelay({ hooks: true })));
  after(() => relay?.stop());

  const readRequests = async ({ workspace, webhook }) =>
    (await relay.fetch(`/test/rows/${workspace}/${webhook.id}`)).body.object_requests;

  test("share calls of their webhook's object, and each is answered and delivered", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { workspace, receiver } = scene;
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    const before = await readRequests(scene);
    const deliveries = await Promise.all(Array.from({ length: POSTS }, () => acceptForOne(relay, workspace)));
    const ids = deliveries.map(({ id }) => id);
    assert.equal(new Set(ids).size, POSTS);
    await eventually(() => ids.every((id) => receiver.receivedIds().has(id)), { timeout: 30_000 });
    const requests = (await readRequests(scene)) - before;
    t.diagnostic(`${requests} requests of the object for ${POSTS} events`);
    // With a call for each there would be more than there are events: their reports are requests too.
    assert.ok(requests < POSTS, `${requests} requests`);
  });

  test("report together what they sent to the same webhook", async (t) => {
    const first = await setUpWebhook(t, relay);
    const { workspace } = first;
    const others = Array.from({ length: 7 }, () => setUpWebhook(t, relay, undefined, { workspace }));
    const scenes = [first, ...(await Promise.all(others))];
    await acceptEvent(relay, workspace);
    const before = await Promise.all(scenes.map(readRequests));
    const posts = Array.from({ length: FANNED_OUT }, () => acceptEvent(relay, workspace));
    const ids = (await Promise.all(posts)).map((entries) => entries.map(({ id }) => id));
    const receivedBy = scenes.map(({ receiver }) => receiver);
    const arrived = () => ids.flat().every((id) => receivedBy.some((receiver) => receiver.receivedIds().has(id)));
    await eventually(arrived, { timeout: 30_000 });
    const after = await Promise.all(scenes.map(readRequests));
    const requests = after.map((count, place) => count - before[place]);
    t.diagnostic(`${requests} requests of the objects for ${FANNED_OUT} events`);
    // A post has one lease of each of its webhooks, so without shared calls each would report to each.
    assert.ok(Math.max(...requests) < FANNED_OUT, `${requests}`);
  });

  test("are told apart: each gets what became of its own event", async (t) => {
    const { workspace } = await setUpWebhook(t, relay);
    const orders = Array.from({ length: 30 }, (_, number) => `order-${number}`);
    const post = (order) => acceptForOne(relay, workspace, alert({ event_id: order }));
    const first = await Promise.all(orders.map(post));
    const again = await Promise.all(orders.map(post));
    assert.deepEqual(
      again.map(({ id, duplicate }) => [id, duplicate]),
      first.map(({ id }) => [id, true]),
    );
  });

  test("are answered though clients of others go away", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    await acceptForOne(relay, workspace);
    const leaving = Array.from({ length: POSTS }, () => postAndLeave(relay, workspace));
    const staying = Array.from({ length: POSTS }, () => acceptForOne(relay, workspace));
    const ids = (await Promise.all(staying)).map(({ id }) => id);
    await Promise.all(leaving);
    await eventually(() => ids.every((id) => receiver.receivedIds().has(id)), { timeout: 30_000 });
    // The next one finds nothing that waits for those who left.
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
  });
});

/** Posts an event, and closes the connection as soon as it is written. */
function postAndLeave({ origin }, workspace) {
  return new Promise((resolve) => {
    const request = http.request(`${origin}/v1/workspaces/${workspace}/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${OPERATOR_TOKEN}`, "content-type": "application/json" },
    });
    request.on("error", () => {});
    request.on("close", () => resolve(undefined));
    request.end(JSON.stringify(alert()), () => request.destroy());
  });
}
