// One shard of cargo-mutants over what decides (docs/mutants.md): `npm run test:cargo-mutants -- 3/7`, counted from 0.
//
// First the cheap tests, then for what they miss the simulator and what is slow to compile: cargo would run the simulator
// before half of the others. What follows the shard goes to cargo-mutants, such as `-F dispatch`.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, ROOT, capture, run, runAsProgram, toolEnvironment } from "./programs.mjs";

const VERSION = "27.1.0";
const CHEAP = [
  "--lib",
  "--test=endpoint_urls",
  "--test=post_machine",
  "--test=properties",
  "--test=schedule",
  "--test=sender_machine",
  "--test=sql_script",
  "--test=webhook_machine",
  "--test=workspace_machine",
];
const DEAR = ["--test=dashboard", "--test=openapi", "--test=simulation"];
const WORLDS = "20";
const PROPTEST_CASES = "64";

// Every mutant found; some missed; some that did not end.
const ENDINGS = [0, 2, 3];

await runAsProgram(import.meta.url, async () => {
  const [shard, ...others] = process.argv.slice(2);
  if (!/^\d+\/\d+$/.test(shard ?? "")) throw new Failure("say which shard, such as 3/7");
  const { code } = await capture("cargo", ["mutants", "--version"]);
  if (code !== 0) throw new Failure(`install it: cargo install cargo-mutants --locked --version ${VERSION}`);
  const missed = await mutate("cheap", CHEAP, ["--shard", shard, ...others]);
  if (missed.length === 0) return;
  // Not by `--re`, which lets all deleted members of structs pass.
  const { output } = await capture("cargo", ["mutants", "--list"]);
  const found = output.split("\n").filter((line) => !missed.includes(line));
  writeFileSync(path.join(outputOf("dear"), "caught.txt"), found.join("\n"));
  const left = await mutate("dear", DEAR, ["--iterate"]);
  console.log(["\nNo test finds these:", ...left].join("\n"));
});

// Where cargo-mutants leaves what it finds.
function outputOf(name) {
  const folder = path.join(ROOT, "target/mutants", name, "mutants.out");
  mkdirSync(folder, { recursive: true });
  return folder;
}

// Runs tests on mutants; returns the names of those that they miss.
async function mutate(name, tests, which) {
  const folder = outputOf(name);
  const env = toolEnvironment({
    // Kept from run to run, unlike the copy of the tree that is changed.
    CARGO_TARGET_DIR: path.join(ROOT, "target/cargo-mutants"),
    WORLDS: process.env.WORLDS ?? WORLDS,
    PROPTEST_CASES: process.env.PROPTEST_CASES ?? PROPTEST_CASES,
  });
  // For the build too, which would else make every test and example.
  const targets = tests.map((test) => `--cargo-arg=${test}`);
  await run("cargo", ["mutants", "--output", path.dirname(folder), ...targets, ...which], { env, codes: ENDINGS });
  const missed = readFileSync(path.join(folder, "missed.txt"), "utf8");
  return missed.split("\n").filter((line) => line !== "");
}
