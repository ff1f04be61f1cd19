// The pace of producers: a post waits for its attempt while the relay is behind an endpoint that would keep up, and for
// nothing else.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerAfter } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, awaitSettled, changeWebhook, setUpWebhook } from "../support/steps.js";

// So few that the machine has time for the endpoint.
const PRODUCERS = 2;
const EACH = 50;

let relay;
// One attempt at a time: producers are faster than that.
before(async () => (relay = await startRelay({ vars: { MAX_LEASES: "1" } })));
after(() => relay?.stop());

describe("producers", () => {
  test("are answered at the pace of sending", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay);
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    let accepted = 0;
    let mostBehind = 0;
    const produce = async () => {
      for (let count = 0; count < EACH; count++) {
        await acceptForOne(relay, workspace);
        accepted += 1;
        mostBehind = Math.max(mostBehind, accepted + 1 - receiver.events().length);
      }
    };
    await Promise.all(Array.from({ length: PRODUCERS }, produce));
    t.diagnostic(`${mostBehind} accepted and not attempted at most`);
    // A machine that is slow for a moment may take the endpoint for slow. Without the wait most of them are behind.
    assert.ok(mostBehind <= (PRODUCERS * EACH) / 4, `${mostBehind} were accepted and not attempted`);
    await eventually(() => receiver.events().length === PRODUCERS * EACH + 1, { timeout: 60_000 });
  });

  test("do not wait for an endpoint that is slow", async (t) => {
    const { workspace, receiver } = await setUpWebhook(t, relay, answerAfter(700));
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    for (let count = 0; count < 6; count++) await acceptForOne(relay, workspace);
    assert.ok(receiver.events().length < 7, "each post waited for its attempt");
  });

  test("do not wait for a pace that its owner set", async (t) => {
    const scene = await setUpWebhook(t, relay);
    const { workspace, receiver } = scene;
    await awaitSettled(relay, workspace, await acceptForOne(relay, workspace));
    await changeWebhook(relay, scene, { rate_limit: { per_second: 0.1 } });
    for (let count = 0; count < 3; count++) await acceptForOne(relay, workspace);
    assert.ok(receiver.events().length < 4);
  });
});
