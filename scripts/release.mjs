// Makes dist/webhook-relay-<version>/: the built Worker with all that deploys it by Node alone. `npm run release`.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "./build.mjs";
import { readMetadata, shippedCrates } from "./licences.mjs";
import { Failure, ROOT, runAsProgram } from "./programs.mjs";

const COPIED = [
  "build/index.js",
  "build/index_bg.wasm",
  "src/entry.js",
  "src/finalization.js",
  "scripts/import_types.mjs",
  "scripts/listen.mjs",
  "scripts/show.sh",
  "scripts/smoke.mjs",
  "examples/receiver.mjs",
  "scripts/webhook_types.mjs",
  ".dev.vars.example",
  "CHANGELOG.md",
  "LICENSE-APACHE",
  "LICENSE-MIT",
];
const BUILD_STEP = /^\[build\]\n(?:[^\n]+\n)+\n/m;
const LICENCE_FILE = /^(licen[cs]e|copying|copyright|notice|unlicense)/i;

const read = (file) => readFile(path.join(ROOT, file), "utf8");

/** Builds the Worker and makes the folder below `parent`, in place of an older one; returns the folder. */
export async function release(parent = path.join(ROOT, "dist")) {
  const manifest = JSON.parse(await read("package.json"));
  const metadata = await readMetadata();
  const own = metadata.packages.find(({ id }) => id === metadata.resolve.root);
  if (own.version !== manifest.version)
    throw new Failure(`package.json has version ${manifest.version} and Cargo.toml ${own.version}: they must be equal`);
  await build("release");
  const folder = path.join(parent, `${manifest.name}-${manifest.version}`);
  await rm(folder, { recursive: true, force: true });
  for (const file of COPIED) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await cp(path.join(ROOT, file), path.join(folder, file));
  }
  const readme = (await read("scripts/release_readme.md")).replaceAll("VERSION", manifest.version);
  const written = {
    "README.md": readme,
    "THIRD-PARTY.txt": describeCrates(shippedCrates(metadata)),
    "package.json": `${JSON.stringify(packageOf(manifest), undefined, 2)}\n`,
    "wrangler.toml": withoutBuildStep(await read("wrangler.toml")),
  };
  for (const [file, text] of Object.entries(written)) await writeFile(path.join(folder, file), text);
  await writeFile(path.join(folder, "SHA256SUMS"), await sumFiles(folder));
  return folder;
}

function withoutBuildStep(config) {
  if (!BUILD_STEP.test(config)) throw new Failure("wrangler.toml has no [build] with an empty line behind it");
  return config.replace(BUILD_STEP, "");
}

// wrangler alone, of the version that the tests use.
function packageOf({ name, version, license, engines, scripts, devDependencies }) {
  const kept = Object.fromEntries(["import-types", "listen", "smoke"].map((script) => [script, scripts[script]]));
  const { wrangler } = devDependencies;
  return {
    name,
    version,
    private: true,
    type: "module",
    license,
    engines,
    scripts: kept,
    devDependencies: { wrangler },
  };
}

/** The crates that are compiled in, and the texts of their licences, each once. */
function describeCrates(crates) {
  const byName = crates.toSorted((one, other) =>
    compare(`${one.name} ${one.version}`, `${other.name} ${other.version}`),
  );
  const texts = new Map();
  for (const { name, version, manifest_path: manifest } of byName) {
    const folder = path.dirname(manifest);
    for (const file of readdirSync(folder)
      .toSorted(compare)
      .filter((one) => LICENCE_FILE.test(one))) {
      const text = readFileSync(path.join(folder, file), "utf8").replaceAll("\r\n", "\n").trim();
      texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
    }
  }
  const list = byName.map(({ name, version, license }) => `${name} ${version}: ${license}`);
  const sections = [...texts].map(([text, names]) => `${[...new Set(names)].join(", ")}\n\n${text}`);
  const line = `\n\n${"-".repeat(80)}\n\n`;
  return `The Worker is compiled from these crates, beside its own code.\n\n${list.join("\n")}${line}${sections.join(line)}\n`;
}

// Not by the locale, which differs between machines.
const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

/** A line for each file, in the form of sha256sum. */
async function sumFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .toSorted(compare);
  const sum = (file) =>
    createHash("sha256")
      .update(readFileSync(path.join(folder, file)))
      .digest("hex");
  return files.map((file) => `${sum(file)}  ${file}\n`).join("");
}

await runAsProgram(import.meta.url, async () => {
  const [parent, ...others] = process.argv.slice(2);
  if (others.length > 0) throw new Failure("usage: npm run release [-- FOLDER]");
  console.log(`made ${await release(parent && path.resolve(parent))}`);
});
