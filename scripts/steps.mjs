// Runs named steps, up to the first that fails, and prints how long each took: one after the other, or lists of them at the
// same time.

/** `steps`: pairs of a name and a function that does it; `what` is the prefix of each line. */
export async function runSteps(what, steps) {
  for (const step of steps) await runStep(what, step);
}

/** Runs lists of steps at the same time, each list one after the other; waits for all, and fails if one fails. */
export async function runTogether(what, lists) {
  const ended = await Promise.allSettled(lists.map((steps) => runSteps(what, steps)));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}

async function runStep(what, [name, step]) {
  const began = Date.now();
  console.log(`\n[${what}] ${name} ...`);
  await step();
  console.log(`[${what}] ${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
