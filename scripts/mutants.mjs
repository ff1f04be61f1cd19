// One shard of cargo-mutants over what decides (docs/mutants.md): `npm run test:cargo-mutants -- 3/7`, counted from 0.
//
// What follows the shard goes to cargo-mutants, such as `--iterate` or `-F dispatch`.
import path from "node:path";
import { Failure, ROOT, capture, run, runAsProgram, toolEnvironment } from "./programs.mjs";

const VERSION = "27.1.0";
// A mutant that nothing cheaper notices meets this many of the simulator's worlds.
const WORLDS = "20";
const PROPTEST_CASES = "64";

await runAsProgram(import.meta.url, async () => {
  const [shard, ...others] = process.argv.slice(2);
  if (!/^\d+\/\d+$/.test(shard ?? "")) throw new Failure("say which shard, such as 3/7");
  const { code } = await capture("cargo", ["mutants", "--version"]);
  if (code !== 0) throw new Failure(`install it: cargo install cargo-mutants --locked --version ${VERSION}`);
  const env = toolEnvironment({
    // Kept from run to run, unlike the copy of the tree that is changed.
    CARGO_TARGET_DIR: path.join(ROOT, "target/cargo-mutants"),
    WORLDS: process.env.WORLDS ?? WORLDS,
    PROPTEST_CASES: process.env.PROPTEST_CASES ?? PROPTEST_CASES,
  });
  await run("cargo", ["mutants", "--shard", shard, ...others], { env });
});
