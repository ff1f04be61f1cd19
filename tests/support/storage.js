// Reads the relay's storage: the rows of its objects and the values of its KV.
//
// Rows, not raw files: a deleted row's bytes may stay in a file until SQLite reuses their space.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A text itself, in base64 and in hex. */
export const encodings = (text) => [text, Buffer.from(text).toString("base64"), Buffer.from(text).toString("hex")];

const asText = (value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value));

// A relay that has just ended may still hold its files.
const LOCK_TIMEOUT_MS = 5_000;

function readRows(file) {
  const database = new DatabaseSync(file, { readOnly: true, timeout: LOCK_TIMEOUT_MS });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables.flatMap(({ name }) => {
      const rows = database.prepare(`SELECT * FROM "${name}"`);
      rows.setReadBigInts(true);
      return rows.all().flatMap((row) => Object.values(row).map(asText));
    });
  } finally {
    database.close();
  }
}

/** All that is stored under the folder `relay.state`: the objects' rows as one text, the values of KV as another. */
export function readStorage({ state }) {
  const files = readdirSync(state, { recursive: true }).map((name) => path.join(state, name));
  const rows = files.filter((file) => file.endsWith(".sqlite")).flatMap(readRows);
  const values = files
    .filter((file) => path.basename(path.dirname(file)) === "blobs")
    .map((file) => readFileSync(file, "latin1"));
  return { rows: rows.join("\n"), kv: values.join("\n") };
}

/** All bytes under the folder `relay.state`, the free space of the databases too, as one text. */
export function readStorageFiles({ state }) {
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => readFileSync(path.join(parentPath, name), "latin1")).join("\n");
}

/** Whether a text is stored, plain or in base64 or hex. */
export function isStored(relay, text) {
  const { rows, kv } = readStorage(relay);
  assert.ok(rows.length > 0, `${relay.state} has no rows: nothing was searched`);
  const storage = `${rows}\n${kv}`;
  return encodings(text).some((encoded) => storage.includes(encoded));
}
