// Puts everything that the build and the tests need into the checkout: npm packages (a pinned Node among them), the
// wasm32 target of Rust, worker-build and wasm-bindgen; and, only for the tests, Chromium.
//
// Runs on a plain Node 20 with nothing installed. Skips what is already there: a second run takes milliseconds.
// worker-build would fetch prebuilt binaries by itself; here everything comes from package registries.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  Failure,
  ROOT,
  TOOLS,
  PACKAGE_PROGRAMS,
  capture,
  nodeProgram,
  runAsProgram,
  toolEnvironment,
} from "./programs.mjs";

// wasm-bindgen must have the version of Cargo.lock. What else this worker-build asks for, wasm-opt and esbuild, is in
// package.json.
const CARGO_TOOLS = ["worker-build@0.8.7", "wasm-bindgen-cli@0.2.129"];
const CARGO_PROGRAMS = ["worker-build", "wasm-bindgen"];
// The name on Debian, then those on other systems; all accept the same options.
const CHROMIUM_PROGRAMS = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const WASM_TARGET = "wasm32-unknown-unknown";
const HEARTBEAT_MS = 10_000;
const SHOWN_OF_A_FAILURE = 40;

// Optimised, they would take four times as long to compile and save only seconds of a build.
const QUICK_COMPILE = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "64",
  CARGO_TARGET_DIR: path.join(TOOLS, "target"),
};

/** Does the steps that are not done yet; without `toBuild`, only those that checks need: no tool is compiled. */
export async function setUp({ toBuild = true } = {}) {
  checkPrerequisites();
  await mkdir(TOOLS, { recursive: true });
  const packages = createHash("sha256")
    .update(readFileSync(path.join(ROOT, "package-lock.json")))
    .digest("hex");
  await Promise.all([
    once(
      "packages",
      `${packages} ${process.platform}-${process.arch}`,
      [path.join(PACKAGE_PROGRAMS, "wrangler")],
      installPackages,
    ),
    toBuild ? setUpRustTools() : setUpRust(),
  ]);
  nodeProgram();
}

/** The Chromium of the browser tests: the one that the environment variable CHROMIUM names, or one in PATH. */
export function chromiumProgram() {
  const named = process.env.CHROMIUM;
  if (named) {
    if (existsSync(named)) return named;
    throw new Failure(`CHROMIUM names ${named}, which does not exist: it must be the path of Chromium's program.`);
  }
  const folders = process.env.PATH.split(path.delimiter);
  const programs = CHROMIUM_PROGRAMS.flatMap((name) => folders.map((folder) => path.join(folder, name)));
  return programs.find((program) => existsSync(program));
}

/** Installs Debian's Chromium if there is none and this user may; only the tests need it. */
export async function setUpChromium() {
  if (chromiumProgram()) return;
  const advice =
    "the browser tests need Chromium. Install it (Debian: sudo apt-get install chromium), " +
    "or name its program in the environment variable CHROMIUM.";
  const mayInstall = process.getuid?.() === 0 && (await capture("apt-get", ["--version"])).code === 0;
  if (!mayInstall) throw new Failure(`Chromium is missing: ${advice}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await withProgress("lists of Debian packages", "apt-get", ["update"], env, advice);
  // Of the packages that Chromium recommends, only a font is needed.
  const packages = ["chromium", "fonts-liberation"];
  await withProgress("Chromium", "apt-get", ["install", "--yes", "--no-install-recommends", ...packages], env, advice);
}

function checkPrerequisites() {
  const needed = [
    ["cargo", "Rust is missing: install it with rustup from https://rustup.rs"],
    ["rustup", "rustup is missing: install Rust with it from https://rustup.rs, it brings the wasm32 target"],
    ["python3", "Python 3 is missing: install it; the tests verify signatures with the customers' Python code"],
    ["npm", "npm is missing: install Node 20 or later together with npm"],
  ];
  const folders = process.env.PATH.split(path.delimiter);
  const missing = needed.filter(([name]) => !folders.some((folder) => existsSync(path.join(folder, name))));
  if (Number(process.versions.node.split(".")[0]) < 20) {
    missing.push(["node", `Node ${process.versions.node} is too old: install Node 20 or later`]);
  }
  if (missing.length > 0) throw new Failure(missing.map(([, advice]) => advice).join("\n       "));
}

// A step is done if its stamp has the wanted text and its files exist; the stamp is written last.
async function once(name, wanted, files, step) {
  const stamp = path.join(TOOLS, `${name}.stamp`);
  const done = existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && files.every((file) => existsSync(file));
  if (done) return;
  await rm(stamp, { force: true });
  await step();
  await writeFile(stamp, wanted);
}

function installPackages() {
  return withProgress(
    "npm packages",
    "npm",
    // No install script is needed: esbuild, workerd and Node find their binaries in per-platform packages.
    ["ci", "--ignore-scripts", "--include=dev", "--include=optional", "--loglevel=error"],
    // The user's own Node, because the pinned one is being replaced.
    { ...process.env },
    "npm could not install the packages. See that the npm registry can be reached, then try again.",
  );
}

async function setUpRustTools() {
  await setUpRust();
  const programs = CARGO_PROGRAMS.map((name) => path.join(TOOLS, "bin", name));
  await once("tools", CARGO_TOOLS.join(" "), programs, installTools);
}

// The toolchain of rust-toolchain.toml, with its target; rustup may be configured not to install it automatically.
async function setUpRust() {
  const found = await capture("rustc", ["--version"]);
  if (found.code !== 0) {
    await withProgress(
      "Rust",
      "rustup",
      ["toolchain", "install"],
      process.env,
      "Rust could not be installed. Try by hand, in this folder: rustup toolchain install",
    );
  }
  await addWasmTarget();
}

async function addWasmTarget() {
  const found = await capture("rustc", ["--print", "target-libdir", "--target", WASM_TARGET]);
  if (found.code === 0 && existsSync(found.output.trim())) return;
  await withProgress(
    `Rust target ${WASM_TARGET}`,
    "rustup",
    ["target", "add", WASM_TARGET],
    process.env,
    `Rust's target could not be added. Try by hand: rustup target add ${WASM_TARGET}`,
  );
}

async function installTools() {
  await withProgress(
    CARGO_TOOLS.join(" and "),
    "cargo",
    ["install", "--locked", "--force", "--root", TOOLS, ...CARGO_TOOLS],
    toolEnvironment(QUICK_COMPILE),
    "the build tools could not be compiled. They need a C linker (Debian: apt-get install build-essential) and crates.io.",
  );
  // About 900 MB that nothing needs again.
  await rm(QUICK_COMPILE.CARGO_TARGET_DIR, { recursive: true, force: true });
}

async function withProgress(what, program, args, env, advice) {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  let last = "";
  console.log(`[setup] ${what} ...`);
  const heartbeat = setInterval(
    () => console.log(`[setup] ${what}: ${seconds()} s${last && ` (${last})`}`),
    HEARTBEAT_MS,
  );
  const { code, output } = await capture(program, args, { env, onLine: (line) => (last = line) });
  clearInterval(heartbeat);
  if (code !== 0) {
    const tail = output.trimEnd().split("\n").slice(-SHOWN_OF_A_FAILURE).join("\n");
    throw new Failure(`${tail}\n\n${program} ${args.join(" ")}\nfailed after ${seconds()} s: ${advice}`);
  }
  console.log(`[setup] ${what}: done in ${seconds()} s`);
}

await runAsProgram(import.meta.url, async () => {
  await setUp();
  console.log("[setup] everything is installed");
});
