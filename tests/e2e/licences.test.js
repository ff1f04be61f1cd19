// scripts/licences.mjs notices each licence, source and import that must not ship.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  findCrateFaults,
  findForeignImports,
  findLockFaults,
  refusedLicences,
  shippedCrates,
} from "../../scripts/licences.mjs";
import { ROOT } from "../../scripts/programs.mjs";

test("one allowed licence of an OR is enough, and each of an AND must be allowed", () => {
  const EXPRESSIONS = {
    MIT: [],
    "MIT OR GPL-3.0-only": [],
    "GPL-3.0-only/MIT": [],
    "(MIT OR GPL-2.0) AND Unicode-3.0": [],
    "Apache-2.0 WITH LLVM-exception OR GPL-3.0": [],
    "MIT OR Apache-2.0 AND GPL-3.0": [],
    "GPL-3.0-only": ["GPL-3.0-only"],
    "MIT AND AGPL-3.0": ["AGPL-3.0"],
    "(MIT OR Zlib) AND (SSPL-1.0 OR BUSL-1.1)": ["SSPL-1.0", "BUSL-1.1"],
    "Apache-2.0+": ["Apache-2.0+"],
    "MIT WITH Commons-Clause": ["MIT WITH Commons-Clause"],
    "": null,
    "MIT OR": null,
    "(MIT": null,
    "MIT Apache-2.0": null,
    "MIT)": null,
    AND: null,
  };
  for (const [expression, refused] of Object.entries(EXPRESSIONS))
    assert.deepEqual(refusedLicences(expression), refused, expression);
  for (const none of [null, undefined]) assert.equal(refusedLicences(none), null);
});

test("a crate of another licence or source is named", () => {
  const good = {
    name: "a",
    version: "1.0.0",
    license: "MIT",
    source: "registry+https://github.com/rust-lang/crates.io-index",
  };
  assert.deepEqual(findCrateFaults(good), []);
  for (const [wrong, told] of /** @type {[object, RegExp][]} */ ([
    [{ license: "GPL-3.0-only" }, /^a 1\.0\.0 is under GPL-3\.0-only/],
    [{ license: null }, /^a 1\.0\.0 has no licence/],
    [{ license: "Custom!  licence" }, /SPDX/],
    [{ source: null }, /from a folder/],
    [{ source: "git+https://example.com/a.git" }, /from git\+https/],
    [{ source: "registry+https://registry.example.com" }, /not from crates\.io/],
  ])) {
    const [fault, ...others] = findCrateFaults({ ...good, ...wrong });
    assert.match(fault, told);
    assert.deepEqual(others, []);
  }
});

test("normal dependencies ship, build and test dependencies do not", () => {
  const edge = (pkg, ...kinds) => ({ pkg, dep_kinds: kinds.map((kind) => ({ kind })) });
  const nodes = [
    { id: "own", deps: [edge("a", null), edge("test", "dev"), edge("build", "build"), edge("both", "dev", null)] },
    { id: "a", deps: [edge("below", null), edge("own", null)] },
    { id: "both", deps: [] },
    { id: "below", deps: [] },
    { id: "test", deps: [] },
    { id: "build", deps: [] },
  ];
  const shipped = shippedCrates({ packages: nodes.map(({ id }) => ({ id })), resolve: { root: "own", nodes } });
  assert.deepEqual(shipped.map(({ id }) => id).sort(), ["a", "below", "both"]);
});

test("each package of the lock file has its hash and comes from npm's registry", () => {
  const integrity = `sha512-${"A".repeat(86)}==`;
  const lock = (entry) => ({ packages: { "": { name: "own" }, "node_modules/a": { version: "1.0.0", ...entry } } });
  assert.deepEqual(findLockFaults(lock({ integrity })), []);
  assert.deepEqual(findLockFaults(lock({ integrity, resolved: "https://registry.npmjs.org/a/-/a-1.0.0.tgz" })), []);
  for (const [wrong, told] of /** @type {[object, RegExp][]} */ ([
    [{}, /^node_modules\/a has no SHA-512/],
    [{ integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, /has no SHA-512/],
    [{ integrity: "sha512-" }, /has no SHA-512/],
    [{ integrity, resolved: "git+ssh://git@example.com/a.git" }, /comes from git\+ssh/],
    [{ integrity, resolved: "https://registry.npmjs.org.example.com/a.tgz" }, /not from npm/],
    [{ link: true, resolved: "../a" }, /comes from \.\.\/a/],
  ])) {
    const [fault, ...others] = findLockFaults(lock(wrong));
    assert.match(fault, told);
    assert.deepEqual(others, []);
  }
  assert.deepEqual(findLockFaults(JSON.parse(readFileSync(path.join(ROOT, "package-lock.json"), "utf8"))), []);
});

test("an import from outside the Worker is named, however it is written", () => {
  const own =
    'import{WorkerEntrypoint as j}from"cloudflare:workers";import e from"./index_bg.wasm";Array.from(a);import.meta.url';
  assert.deepEqual(findForeignImports(own), []);
  for (const code of [
    'import a from"left-pad"',
    'import"left-pad"',
    "import * as a from 'left-pad'",
    'export*from"left-pad"',
    'await import("left-pad")',
    "require(`left-pad`)",
  ]) {
    assert.deepEqual(findForeignImports(`${own};${code};`), ["left-pad"], code);
  }
  for (const code of ["import(name)", "require(a.b)"]) assert.deepEqual(findForeignImports(`${own};${code};`), [code]);
  for (const other of ["node:fs", "./snippets/a.js", "https://example.com/a.js", "cloudflare"])
    assert.deepEqual(findForeignImports(`import a from "${other}"`), [other]);
});
