// A statement fails between two others: a change is stored completely or not at all, and nothing accepted is lost.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { turn } from "../support/hooks.js";
import { answerInTurn, hang } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  alert,
  answered,
  awaitDelivery,
  awaitSettled,
  createKey,
  listDeliveries,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { assertLeadsTo, createLink, createVisitor } from "../support/visitor.js";

// After a fault the alarm tries again in 10 s; a lease ends 5.5 s after it was granted.
const RECOVERY_MS = 40_000;

let relay;
before(async () => (relay = await startRelay({ hooks: true, vars: { ATTEMPT_TIMEOUT: "500ms" } })));
after(() => relay?.stop());

const failOnce = (t, statement) => {
  t.after(() => turn(relay));
  return turn(relay, { fault: { statement, times: 1 } });
};
const listEvents = ({ workspace, webhook }) => listDeliveries(relay, workspace, webhook.id, { kind: "event" });

describe("a delivery that leaves its segment while its own row cannot be written", () => {
  test("stays there, and its attempt is made again", { timeout: 60_000 }, async (t) => {
    const scene = await setUpWebhook(t, relay, answerInTurn(500, 200));
    await failOnce(t, "INSERT INTO deliveries");
    const entry = await acceptForOne(relay, scene.workspace);
    assert.equal((await awaitSettled(relay, scene.workspace, entry, { timeout: RECOVERY_MS })).status, "delivered");
    assert.deepEqual(
      (await listEvents(scene)).map(({ id }) => id),
      [entry.id],
    );
  });

  test("stays delivered if its resend could not be stored, and can be resent later", {
    timeout: 60_000,
  }, async (t) => {
    const scene = await setUpWebhook(t, relay);
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitSettled(relay, scene.workspace, entry);
    await failOnce(t, "INSERT INTO deliveries");
    const resend = () => relay.fetch(pathOf(scene, `/deliveries/${entry.id}/resend`), { method: "POST" });
    answered(await resend(), 503);
    assert.equal((await readDelivery(relay, scene.workspace, entry)).status, "delivered");
    answered(await resend(), 202);
    await awaitDelivery(relay, scene.workspace, entry, ({ attempts }) => attempts.length === 2);
  });

  test("stays pending if its cancel could not be stored", { timeout: 60_000 }, async (t) => {
    const scene = await setUpWebhook(t, relay, hang);
    const entry = await acceptForOne(relay, scene.workspace);
    await failOnce(t, "INSERT INTO deliveries");
    const cancel = () => relay.fetch(pathOf(scene, `/deliveries/${entry.id}/cancel`), { method: "POST" });
    answered(await cancel(), 503);
    assert.equal((await readDelivery(relay, scene.workspace, entry)).status, "pending");
    assert.equal(answered(await cancel(), 200).status, "failed");
  });
});

describe("a webhook's object", () => {
  for (const table of ["segments (place", "event_ids (day", "stats (hour"]) {
    test(`that could not make its table ${table.split(" ")[0]} is made later and delivers`, {
      timeout: 60_000,
    }, async (t) => {
      const scene = await setUpWebhook(t, relay);
      await failOnce(t, table);
      const body = { url: `${scene.receiver.origin}/second`, events: ["alert.triggered"] };
      const { status } = await relay.fetch(`/v1/workspaces/${scene.workspace}/webhooks`, { method: "POST", body });
      assert.equal(status, 503);
      await eventually(
        async () => {
          const { body } = await postEvent(relay, scene.workspace, alert());
          return body.deliveries?.length === 2;
        },
        { timeout: RECOVERY_MS },
      );
      await eventually(() => scene.receiver.events().some(({ url }) => url === "/second"), { timeout: RECOVERY_MS });
    });
  }
});

describe("a change of a workspace with a failing statement", () => {
  test("revoking a key is repeated until the key no longer posts", { timeout: 60_000 }, async (t) => {
    const { workspace } = await setUpWebhook(t, relay);
    const { id, key } = await createKey(relay, workspace);
    const revoke = () => relay.fetch(`/v1/workspaces/${workspace}/keys/${id}`, { method: "DELETE" });
    answered(
      await relay.fetch(`/v1/workspaces/${workspace}/events`, { method: "POST", token: key, body: alert() }),
      202,
    );
    await failOnce(t, "INTO outbox");
    answered(await revoke(), 503);
    answered(await revoke(), 204);
    await eventually(
      async () => {
        const post = { method: "POST", token: key, body: alert() };
        return (await relay.fetch(`/v1/workspaces/${workspace}/events`, post)).status === 401;
      },
      { timeout: RECOVERY_MS },
    );
  });

  test("a link whose session could not be stored is not used up", async (t) => {
    const { workspace } = await setUpWebhook(t, relay);
    const { token } = await createLink(relay, workspace);
    await failOnce(t, "INTO sessions");
    const { status } = await createVisitor(relay).post("/sign-in", { link: token });
    assert.equal(status, 503);
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { link: token }), "/settings/webhooks");
  });
});
