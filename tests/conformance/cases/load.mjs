// Reads a data file of this folder.
import { readFileSync } from "node:fs";

export const load = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), "utf8"));

/** The version that all files of cases share. */
export const CASES_VERSION = load("urls").version;
