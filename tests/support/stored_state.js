// A relay's stored state as text: for the fixtures of stored formats, and for tests that change what is stored.
//
// One .sql file per object and one for the alarms, each row a line; kv.json has the values of KV. The platform names an
// object's file by a hash of its name, so the same name finds the same file.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

const OBJECTS = "do";
const CLASSES = ["WorkspaceObject", "WebhookObject", "CatalogueObject"];
const ALARMS = "metadata";

const folderOf = (state, className) => path.join(state, OBJECTS, `webhook-relay-${className}`);

/** The SQLite file that has the alarms of a class's objects. */
export const alarmsFile = (state, className) => path.join(folderOf(state, className), `${ALARMS}.sqlite`);

/** The SQLite file of each object of a class. */
export function objectFiles(state, className) {
  const names = readdirSync(folderOf(state, className)).filter(
    (name) => name.endsWith(".sqlite") && !name.startsWith(ALARMS),
  );
  return names.map((name) => path.join(folderOf(state, className), name));
}

/** Runs `work` on a database and closes it. The relay must not be running. */
export function onDatabase(file, work) {
  const database = new DatabaseSync(file);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** The time of a webhook object's alarm in milliseconds, even while the relay runs; undefined if none is set. */
export function armedAlarm({ state }, { workspace, webhook }) {
  const database = new DatabaseSync(alarmsFile(state, "WebhookObject"), { readOnly: true });
  try {
    const alarm = database
      .prepare("SELECT scheduled_time / 1000000 AS time FROM _cf_ALARM WHERE actor_name = ?")
      .get(`${workspace}/${webhook.id}`);
    return alarm?.time;
  } finally {
    database.close();
  }
}

/** Writes the objects of a stopped relay to a folder, as SQL. */
export function dumpObjects(state, folder) {
  for (const className of CLASSES) {
    mkdirSync(path.join(folder, className), { recursive: true });
    for (const file of [alarmsFile(state, className), ...objectFiles(state, className)]) {
      writeFileSync(path.join(folder, className, `${path.basename(file, ".sqlite")}.sql`), onDatabase(file, dump));
    }
  }
}

/** Makes a relay's objects from what dumpObjects wrote, before the relay starts. */
export function restoreObjects(folder, state) {
  // Formats before a class have no folder of it.
  for (const className of CLASSES.filter((name) => existsSync(path.join(folder, name)))) {
    mkdirSync(folderOf(state, className), { recursive: true });
    for (const name of readdirSync(path.join(folder, className))) {
      const file = path.join(folderOf(state, className), `${path.basename(name, ".sql")}.sqlite`);
      onDatabase(file, (database) => database.exec(readFileSync(path.join(folder, className, name), "utf8")));
    }
  }
}

function dump(database) {
  const tables = database.prepare(
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const lines = tables.all().flatMap(({ name, sql }) => {
    const rows = database.prepare(`SELECT * FROM "${name}"`);
    rows.setReadBigInts(true);
    return [
      `${sql};`,
      ...rows.all().map((row) => `INSERT INTO "${name}" VALUES (${Object.values(row).map(literal).join(", ")});`),
    ];
  });
  return `${lines.join("\n")}\n`;
}

function literal(value) {
  if (value === null) return "NULL";
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}
