// Posts that arrive together are written together, and each is answered.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { answerAfter } from "../support/receiver.js";
import { postEvent, startRelay } from "../support/relay.js";
import { alert, setUpWebhook } from "../support/steps.js";

// Far below the end of a lease, which would write what waits.
const ANSWERED_WITHIN_MS = 3_000;

let relay;
before(async () => (relay = await startRelay({ vars: { ATTEMPT_TIMEOUT: "10s" } })));
after(() => relay?.stop());

test("an event that is posted again by its generated id holds up nobody's answer", { timeout: 60_000 }, async (t) => {
  const { workspace } = await setUpWebhook(t, relay, answerAfter(800));
  const first = await postEvent(relay, workspace, alert());
  for (let turn = 0; turn < 5; turn++) {
    const posted = Array.from({ length: 24 }, (_, number) => alert(number % 2 === 0 ? {} : { event_id: first.body.event_id }));
    const began = performance.now();
    const answers = await Promise.all(posted.map((event) => postEvent(relay, workspace, event)));
    const took = performance.now() - began;
    t.diagnostic(`${posted.length} answers after ${took.toFixed(0)} ms`);
    for (const { status, text } of answers) assert.equal(status, 202, text);
    assert.equal(answers.filter(({ body }) => body.deliveries[0].duplicate).length, posted.length / 2);
    assert.ok(took < ANSWERED_WITHIN_MS, `${took} ms`);
  }
});
