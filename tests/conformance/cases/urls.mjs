// Which endpoint URLs nobody may be contacted at: a sender refuses them, or takes them and contacts nobody.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { startTrap } from "../trap.mjs";
import { load } from "./load.mjs";

// How long after the attempt a connection may still come.
const GRACE_MS = 500;

/** Whether a connection to this URL would come to the trap. */
function isSeen({ trap, needs_resolver: needsResolver }, { usesResolver }, { hasIpv6 }) {
  if (trap === undefined || (needsResolver && !usesResolver)) return false;
  return hasIpv6 || !trap.includes("[");
}

/** Lets the sender attempt a URL that it has taken, and returns what shows that it contacted nobody. */
async function assertNotContacted(sender, one) {
  assert.ok(sender.attemptUrl, "it was taken, and the adapter has no attemptUrl, which would show who is contacted");
  const trap = await startTrap();
  try {
    let seen = isSeen(one, sender, trap);
    let outcome = await sender.attemptUrl(seen ? one.trap.replace("{port}", trap.port) : one.url);
    if (seen && outcome === "refused") {
      // Because of its port.
      seen = false;
      outcome = await sender.attemptUrl(one.url);
    }
    if (seen && outcome === "attempted") await sleep(GRACE_MS);
    assert.ok(trap.contacts() === 0, "it was taken and contacted");
    if (outcome === "blocked") return "taken, not contacted: the sender says that it blocked the attempt";
    assert.ok(outcome === "attempted", `it was taken, and then attemptUrl told ${outcome}`);
    assert.ok(seen, "it was taken and attempted, where the suite cannot see who is contacted");
    return "taken, not contacted: nothing came to the suite's endpoint";
  } finally {
    await trap.stop();
  }
}

export const urlCases = load("urls").urls.map((one) => ({
  id: `urls/${one.why}: ${one.url}`,
  needs: ["refusesUrl"],
  async run({ sender }) {
    return (await sender.refusesUrl(one.url)) ? "refused" : assertNotContacted(sender, one);
  },
}));
