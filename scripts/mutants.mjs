// One shard of cargo-mutants over what decides (docs/mutants.md): `npm run test:cargo-mutants -- 3/7`, counted from 0.
//
// Each mutant first meets the tests beside it, which are soon compiled; what they miss meets all native tests and the
// simulator.
import { mkdirSync, rmSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, ROOT, capture, run, runAsProgram, toolEnvironment } from "./programs.mjs";

const VERSION = "27.1.0";

// In order: a name, the mutants by their names, and the tests that they meet.
/** @type {[string, RegExp, string[]][]} */
const PASSES = [
  ["rules", /^src\/domain\/|\/(alarm_clock|group_commit|hiring|publisher|shift)\.rs/, ["--lib"]],
  ["post", /^src\/machines\/(ingest\/|sender)/, ["--test=post_machine", "--test=sender_machine"]],
  ["webhook", /^src\/machines\/(webhook|messages)\/|\/sql\.rs/, ["--test=webhook_machine"]],
  ["workspace", /^src\/machines\/workspace\//, ["--test=workspace_machine"]],
  ["all", /./, ["--lib", "--tests"]],
];

const WORLDS = "20";
const PROPTEST_CASES = "64";

// Every mutant found; some missed; some that did not end.
const ENDINGS = [0, 2, 3];

await runAsProgram(import.meta.url, async () => {
  const [shard, ...others] = process.argv.slice(2);
  if (!/^\d+\/\d+$/.test(shard ?? "")) throw new Failure("say which shard, such as 3/7");
  const { code } = await capture("cargo", ["mutants", "--version"]);
  if (code !== 0) throw new Failure(`install it: cargo install cargo-mutants --locked --version ${VERSION}`);
  const all = await list([]);
  let left = await list(["--shard", shard, ...others]);
  console.log(`${left.length} of ${all.length} mutants`);
  for (const [name, pattern, tests] of PASSES) {
    const meeting = left.filter((mutant) => pattern.test(mutant));
    if (meeting.length === 0) continue;
    const missed = await mutate(name, tests, meeting, all);
    left = left.filter((mutant) => !meeting.includes(mutant) || missed.includes(mutant));
  }
  console.log(["\nNo test finds these:", ...left].join("\n"));
});

async function list(which) {
  const { code, output } = await capture("cargo", ["mutants", "--list", ...which]);
  if (code !== 0) throw new Failure(output);
  return output.split("\n").filter((line) => line.startsWith("src/"));
}

// Runs tests on some of all mutants; returns those that they miss.
async function mutate(name, tests, meeting, all) {
  const folder = path.join(ROOT, "target/mutants", name);
  const results = path.join(folder, "mutants.out");
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  // Chosen as what is left of an earlier run: a pattern would let all deleted members of structs pass.
  const others = all.filter((mutant) => !meeting.includes(mutant));
  writeFileSync(path.join(results, "caught.txt"), others.join("\n"));
  const env = toolEnvironment({
    // Kept from run to run, unlike the copy of the tree that is changed.
    CARGO_TARGET_DIR: path.join(ROOT, "target/cargo-mutants"),
    WORLDS: process.env.WORLDS ?? WORLDS,
    PROPTEST_CASES: process.env.PROPTEST_CASES ?? PROPTEST_CASES,
  });
  console.log(`\n${name}: ${meeting.length} mutants`);
  // For the build too, which would else make every test and example.
  const targets = tests.map((test) => `--cargo-arg=${test}`);
  await run("cargo", ["mutants", "--output", folder, "--iterate", ...targets], { env, codes: ENDINGS });
  const missed = readFileSync(path.join(results, "missed.txt"), "utf8").split("\n");
  return meeting.filter((mutant) => missed.includes(mutant));
}
