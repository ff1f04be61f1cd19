// Runs the conformance cases against a sender, and shows the results as a table. README.md says how.
//
// A case is `{id, needs, run}`: `run` throws if the sender does not keep the promise that the id names, and may return
// what shows that it does; a case is skipped if the adapter does not have its `needs`. The cases run concurrently, each
// with its own endpoints.
import { answerCases } from "./cases/answers.mjs";
import { CASES_VERSION } from "./cases/load.mjs";
import { requestCases } from "./cases/requests.mjs";
import { urlCases } from "./cases/urls.mjs";
import { startEndpoint } from "./endpoint.mjs";

const AT_ONCE = 24;
// How much later than the schedule a sender on this machine may be.
const MARGIN_MS = 15_000;

const CASES = [...requestCases, ...answerCases, ...urlCases];

/** What a case gets: the sender, and endpoints that stop when the case ends. */
function stage(sender, marginMs) {
  const endpoints = [];
  const isPing = sender.isPing ?? (() => false);
  return {
    sender,
    marginMs,
    /** A registered endpoint; the sender generates a secret if `secret` is undefined. */
    async register(answer, secret) {
      const endpoint = await startEndpoint(answer, isPing);
      endpoints.push(endpoint);
      const handle = await sender.createEndpoint({ url: endpoint.url, secret });
      return { ...endpoint, handle, secret: secret ?? handle.secret };
    },
    /** An unregistered endpoint. */
    async listen(answer) {
      const endpoint = await startEndpoint(answer);
      endpoints.push(endpoint);
      return endpoint;
    },
    send: (endpoint, data = '{"n":1}') => sender.sendEvent(endpoint.handle, { data }),
    end: () => Promise.all(endpoints.map((endpoint) => endpoint.stop())),
  };
}

async function runCase({ id, needs = [], run }, sender, marginMs) {
  const missing = needs.filter((name) => sender[name] === undefined);
  if (missing.length > 0) return { id, result: "skipped", detail: `the adapter has no ${missing.join(", ")}` };
  const own = stage(sender, marginMs);
  try {
    const shown = await run(own);
    return { id, result: "passed", detail: typeof shown === "string" ? shown : "" };
  } catch (error) {
    return { id, result: "FAILED", detail: error.message };
  } finally {
    await own.end();
  }
}

/**
 * Runs the cases whose id `isWanted`, and returns `{id, result, detail}` of each, in order. `marginMs` is the tolerance
 * beyond the schedule.
 */
export async function runSuite(sender, isWanted = (/** @type {string} */ _id) => true, marginMs = MARGIN_MS) {
  const cases = CASES.filter(({ id }) => isWanted(id));
  const results = [];
  const waiting = [...cases.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, one] = next;
      results[index] = await runCase(one, sender, marginMs);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

/** The results as a table, and a last line that names the version of the cases and counts the results. */
export function showTable(name, results) {
  const width = Math.max(...results.map(({ id }) => id.length));
  const lines = results.map(({ id, result, detail }) =>
    `| ${id.padEnd(width)} | ${result.padEnd(7)} | ${detail.split("\n")[0]}`.trimEnd(),
  );
  const count = (wanted) => results.filter(({ result }) => result === wanted).length;
  const totals = `${count("passed")} passed, ${count("FAILED")} failed, ${count("skipped")} skipped`;
  const head = [`| ${"case".padEnd(width)} | result  | detail`, `| ${"-".repeat(width)} | ------- | ------`];
  return [...head, ...lines, "", `${name}, cases ${CASES_VERSION}: ${totals}`].join("\n");
}
