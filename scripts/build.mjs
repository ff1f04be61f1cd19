// Builds the Worker: build/index.js and build/index_bg.wasm, which src/entry.js imports.
//
// With --test-hooks it builds into build/test-hooks, entry included, with the cargo feature of that name: a second
// folder, so that a test build can never be deployed.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT, TOOLS, run, runAsProgram, toolEnvironment } from "./programs.mjs";
import { setUp } from "./setup.mjs";

const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target");
// Each has a target folder of its own: in one, cargo would compile each variant again after the other.
const VARIANTS = {
  release: { folder: "build", target: TARGET, cargo: [] },
  "test-hooks": {
    folder: "build/test-hooks/build",
    target: path.join(TARGET, "test-hooks"),
    cargo: ["--features", "test-hooks"],
  },
};
// Where a panic happened is part of the code. With these names in place of this machine's folders, builds in two places
// give the same bytes. Separated as cargo wants it, because a folder's name may have a space.
const REMAPPED = [
  [process.env.CARGO_HOME ?? path.join(homedir(), ".cargo"), "/cargo"],
  [ROOT, "/webhook-relay"],
];
const RUST_FLAGS = REMAPPED.map(([folder, name]) => `--remap-path-prefix=${folder}=${name}`).join("\x1f");
const CODE = "index_bg.wasm";
const FILES = ["index.js", CODE];
const CARGO_OUTPUT = "wasm32-unknown-unknown/release/webhook_relay.wasm";

/** Builds one variant, `release` or `test-hooks`. */
export async function build(variant) {
  await setUp();
  const { folder, target, cargo } = VARIANTS[variant];
  const env = toolEnvironment({ CARGO_TARGET_DIR: target, CARGO_ENCODED_RUSTFLAGS: RUST_FLAGS });
  const output = path.join(ROOT, folder);
  if (variant === "test-hooks") {
    await mkdir(path.join(output, "../src"), { recursive: true });
    for (const name of ["entry.js", "finalization.js"])
      await copyFile(path.join(ROOT, "src", name), path.join(output, "../src", name));
  }
  // worker-build runs this first too. Run separately, cargo says whether anything changed; the rest takes seconds.
  await run("cargo", ["build", "--lib", "--release", "--target", "wasm32-unknown-unknown", ...cargo], { env });
  const stamp = path.join(output, "built-from");
  const tools = [path.join(TOOLS, "tools.stamp"), path.join(TOOLS, "packages.stamp"), fileURLToPath(import.meta.url)];
  const wanted = hashFiles([path.join(target, CARGO_OUTPUT), ...tools]);
  const files = FILES.map((name) => path.join(output, name));
  if (files.every((file) => existsSync(file)) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  await rm(stamp, { force: true });
  const extra = cargo.length > 0 ? [".", ...cargo] : [];
  await run(path.join(TOOLS, "bin/worker-build"), ["--release", "--out-dir", folder, ...extra], { env });
  await shrink(path.join(output, CODE));
  await writeFile(stamp, wanted);
}

// Functions with similar names have similar bodies (one for each type that serde reads): side by side they compress
// better. Then the names are stripped, a tenth of the upload. The stack of a panic shows numbers instead; its message,
// file and line stay. This step must be last: it also strips sections that wasm-bindgen and worker-build read.
function shrink(file) {
  return run("wasm-opt", [file, "--reorder-functions-by-name", "--strip-debug", "--strip-producers", "-o", file]);
}

function hashFiles(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest("hex");
}

await runAsProgram(import.meta.url, () => build(process.argv.includes("--test-hooks") ? "test-hooks" : "release"));
