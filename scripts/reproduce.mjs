// Makes the release twice from copies of this checkout, and compares every byte: the folders have other names and
// lengths, the targets are clean, the time zones are a day apart, the locales differ. `npm run test:reproducible`.
//
// Crates and tools are shared: they have hashes in the lock files. Takes as long as two builds from nothing.
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Failure, ROOT, capture, nodeProgram, runAsProgram, toolEnvironment } from "./programs.mjs";

const PLACES = [
  { folder: "a", env: { TZ: "Pacific/Kiritimati", LC_ALL: "C" } },
  { folder: "a much longer name/with spaces", env: { TZ: "Pacific/Pago_Pago", LC_ALL: "tr_TR.UTF-8" } },
];
const SHARED = ["node_modules", ".tools"];

async function copyCheckout(to) {
  const { code, output } = await capture("git", ["-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"]);
  if (code !== 0) throw new Failure(`git ls-files failed: ${output}`);
  for (const file of output.split("\0").filter(Boolean)) {
    await mkdir(path.dirname(path.join(to, file)), { recursive: true });
    await cp(path.join(ROOT, file), path.join(to, file));
  }
  for (const name of SHARED) await symlink(path.join(ROOT, name), path.join(to, name));
}

/** Makes a release in a copy, and returns its sums by file. */
async function releaseIn(parent, { folder, env }) {
  const copy = path.join(parent, folder);
  await copyCheckout(copy);
  const clean = { ...toolEnvironment(env), CARGO_TARGET_DIR: undefined };
  const program = path.join(copy, "scripts/release.mjs");
  const made = await capture(nodeProgram(), [program], { env: clean });
  if (made.code !== 0) throw new Failure(`the build in "${folder}" failed:\n${made.output}`);
  const release = made.output.match(/^made (.*)$/m)[1];
  const sums = await readFile(path.join(release, "SHA256SUMS"), "utf8");
  await rm(path.join(copy, "target"), { recursive: true, force: true });
  return Object.fromEntries(
    sums
      .trimEnd()
      .split("\n")
      .map((line) => line.split("  ").toReversed()),
  );
}

/** Makes both releases, and returns the files that differ and how many there are. */
async function compareReleases() {
  const parent = await mkdtemp(path.join(tmpdir(), "relay-reproduce-"));
  try {
    const [one, other] = [await releaseIn(parent, PLACES[0]), await releaseIn(parent, PLACES[1])];
    const files = [...new Set([...Object.keys(one), ...Object.keys(other)])];
    return { differing: files.filter((file) => one[file] !== other[file]), sums: one };
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}

await runAsProgram(import.meta.url, async () => {
  const { differing, sums } = await compareReleases();
  if (differing.length > 0) throw new Failure(`two builds differ in: ${differing.join(", ")}`);
  console.log(`two builds of ${Object.keys(sums).length} files are the same, byte for byte`);
  console.log(`${sums["build/index_bg.wasm"]}  build/index_bg.wasm`);
});
