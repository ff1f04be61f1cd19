// Runs named steps one after the other, up to the first that fails, and prints how long each took.

/** `steps`: pairs of a name and a function that does it; `what` is the prefix of each line. */
export async function runSteps(what, steps) {
  for (const [name, step] of steps) {
    const began = Date.now();
    console.log(`\n[${what}] ${name} ...`);
    await step();
    console.log(`[${what}] ${name}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
}
