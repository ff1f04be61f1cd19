// Checks the licences of what ships: each crate that the Worker is built from must come from crates.io under one of
// those below, and nothing from npm may ship. What builds and tests comes from npm's registry: the lock file must have
// the hash of each package.
//
// Known vulnerabilities are not checked here: `cargo audit` and `npm audit` need the network.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Failure, ROOT, capture, runAsProgram } from "./programs.mjs";

const ALLOWED = new Set([
  "0BSD",
  "Apache-2.0",
  "Apache-2.0 WITH LLVM-exception",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BSL-1.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "Unicode-3.0",
  "Unlicense",
  "Zlib",
]);
const NPM = "https://registry.npmjs.org/";
const CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index";
// wrangler's upload is bundled from these; they may import each other, the Worker's own Wasm and the runtime's modules.
const WORKER = ["src/entry.js", "src/finalization.js", "build/index.js"];
const OWN_IMPORT = /^(\.\/finalization\.js|\.\.\/build\/index\.js|\.\/index_bg\.wasm|cloudflare:[\w-]+)$/;

/**
 * The licences of an SPDX expression that are not allowed and have no allowed alternative; null if it does not parse.
 * `/` is the older crates.io notation for `OR`.
 */
export function refusedLicences(expression) {
  const words = (expression ?? "").replaceAll("/", " OR ").match(/[()]|[\w.+-]+/g) ?? [];
  const eat = (word) => words[0] === word && words.shift() !== undefined;
  // One of the `OR` alternatives is enough; all that `AND` joins must be allowed.
  const readAny = () => {
    const choices = [readAll()];
    while (eat("OR")) choices.push(readAll());
    const refused = join(choices);
    return refused !== null && choices.some((choice) => choice.length === 0) ? [] : refused;
  };
  const readAll = () => {
    const parts = [readOne()];
    while (eat("AND")) parts.push(readOne());
    return join(parts);
  };
  const readOne = () => {
    if (eat("(")) {
      const inner = readAny();
      return eat(")") ? inner : null;
    }
    const name = words.shift();
    if (name === undefined || !/^[A-Za-z0-9]/.test(name) || ["OR", "AND", "WITH"].includes(name)) return null;
    const licence = eat("WITH") ? `${name} WITH ${words.shift()}` : name;
    return ALLOWED.has(licence) ? [] : [licence];
  };
  const refused = readAny();
  return words.length > 0 ? null : refused;
}

const join = (lists) => (lists.includes(null) ? null : lists.flat());

/** The crates that the Worker is built from: the project's normal dependencies, direct and indirect. */
export function shippedCrates({ packages, resolve }) {
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const reached = new Set([resolve.root]);
  // Iterating over a set also visits what is added meanwhile.
  for (const id of reached) {
    const normal = nodes.get(id).deps.filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind === null));
    for (const { pkg } of normal) reached.add(pkg);
  }
  reached.delete(resolve.root);
  return packages.filter(({ id }) => reached.has(id));
}

/** What is wrong with a crate, in words. */
export function findCrateFaults({ name, version, license, source }) {
  const faults = [];
  if (source !== CRATES_IO) faults.push(`${name} ${version} comes from ${source ?? "a folder"}, not from crates.io`);
  const refused = refusedLicences(license);
  if (refused === null)
    faults.push(`${name} ${version} has ${license ? `"${license}", which is not an SPDX expression` : "no licence"}`);
  else if (refused.length > 0) faults.push(`${name} ${version} is under ${license}, which is not allowed`);
  return faults;
}

/** What a built Worker imports besides its own files, and any expression that could import anything. */
export function findForeignImports(code) {
  const named = [...code.matchAll(/\b(?:from|import|import\s*\(|require\s*\()\s*(["'`])((?:(?!\1).)*)\1/g)].map(
    ([, , name]) => name,
  );
  const computed = code.match(/\b(?:import|require)\s*\((?!\s*["'`])[^)]*\)?/g) ?? [];
  return [...named.filter((name) => !OWN_IMPORT.test(name)), ...computed];
}

function findPackageFaults() {
  if (!existsSync(path.join(ROOT, "build/index.js")))
    throw new Failure("build/index.js is missing: run `npm run build`");
  const read = (file) => readFileSync(path.join(ROOT, file), "utf8");
  const faults = WORKER.flatMap((file) => findForeignImports(read(file)).map((name) => `${file} imports ${name}`));
  for (const manifest of ["package.json", "build/package.json"]) {
    const { dependencies = {} } = JSON.parse(read(manifest));
    for (const name of Object.keys(dependencies))
      faults.push(`${manifest} has ${name} among what runs, not what builds and tests`);
  }
  return faults;
}

/** The packages of a package-lock.json that could be exchanged unnoticed, in words. */
export function findLockFaults({ packages }) {
  return Object.entries(packages).flatMap(([place, { integrity, resolved }]) => {
    if (place === "") return [];
    if (resolved !== undefined && !resolved.startsWith(NPM)) return [`${place} comes from ${resolved}, not from npm`];
    return /^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? "") ? [] : [`${place} has no SHA-512 in package-lock.json`];
  });
}

/** What cargo knows of the crates that the Worker is built from, and of those beside it. */
export async function readMetadata() {
  const { code, output } = await capture("cargo", [
    "metadata",
    "--quiet",
    "--format-version",
    "1",
    "--locked",
    "--filter-platform",
    "wasm32-unknown-unknown",
  ]);
  if (code !== 0) throw new Failure(output);
  return JSON.parse(output.split("\n").find((line) => line.startsWith("{")));
}

// Alternatives in one order and notation, so that they are counted together.
const spell = (expression) =>
  /AND/.test(expression)
    ? expression
    : expression
        .split(/ OR | ?\/ ?/)
        .sort()
        .join(" OR ");

/** Throws if something ships that must not; prints what ships. */
export async function checkLicences() {
  const crates = shippedCrates(await readMetadata());
  if (crates.length === 0) throw new Failure("cargo metadata lists no crate that ships");
  const lock = findLockFaults(JSON.parse(readFileSync(path.join(ROOT, "package-lock.json"), "utf8")));
  if (lock.length > 0) throw new Failure(`these could be exchanged unnoticed:\n- ${lock.join("\n- ")}`);
  const faults = [...crates.flatMap(findCrateFaults), ...findPackageFaults()];
  if (faults.length > 0) throw new Failure(`these must not ship:\n- ${faults.join("\n- ")}`);
  const counts = new Map();
  for (const licence of crates.map(({ license }) => spell(license)))
    counts.set(licence, (counts.get(licence) ?? 0) + 1);
  const list = [...counts].sort(([, one], [, other]) => other - one).map(([licence, count]) => `${count} ${licence}`);
  console.log(`${crates.length} crates ship (${list.join(", ")}) and nothing from npm`);
}

await runAsProgram(import.meta.url, checkLicences);
