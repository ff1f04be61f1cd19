// What the platform allows a deployed relay, measured there: `npm run probe -- URL TOKEN`, with the operator's token.
//
// Nothing of it shows in local workerd, which limits none of it. It makes about a hundred requests of the relay to its
// own address; PROBE_SECONDS is how long a Sender is watched.
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, runAsProgram } from "./programs.mjs";

const READ_EVERY_MS = 1_000;
/** After what time without news a Sender counts as ended. */
const SILENT_MS = 10_000;

async function call(origin, token, path) {
  const response = await fetch(new URL(path, origin), {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  const text = await response.text();
  if (!response.ok) throw new Failure(`${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** Starts a step in a Sender, and reads what it tells until it has ended or tells nothing new. */
async function watch(origin, token, step, query = "") {
  await call(origin, token, `/probe/${step}${query}`);
  let last;
  let changedAt = Date.now();
  while (Date.now() - changedAt < SILENT_MS) {
    await sleep(READ_EVERY_MS);
    const { [step]: told } = await call(origin, token, "/probe/read");
    if (told?.ended) return told;
    if (JSON.stringify(told) === JSON.stringify(last)) continue;
    last = told;
    changedAt = Date.now();
  }
  return last;
}

const because = (error) => (error ? `, then: ${error}` : "");

/** What is measured, what the relay counts on, and how it is measured. */
function stepsOf(origin, token, seconds) {
  return [
    {
      what: "hires of one object at once",
      expected: "30",
      async measure() {
        const { hires } = await call(origin, token, "/probe/hires");
        return `${hires.taken} of ${hires.wanted} in ${hires.ms} ms${because(hires.error)}`;
      },
    },
    {
      what: "requests of a Sender that wait for an answer at a time",
      expected: "6",
      async measure() {
        const told = await watch(origin, token, "connections");
        return told ? `${told.together} of ${told.tried}${because(told.error)}` : "no answer";
      },
    },
    {
      what: "POSTs of a Sender",
      expected: "SUBREQUESTS",
      async measure() {
        const told = await watch(origin, token, "posts");
        return told ? `${told.made} of ${told.wanted}${because(told.error)}` : "no answer";
      },
    },
    {
      what: "a Sender goes on after its answer",
      expected: "30 s",
      async measure() {
        const told = await watch(origin, token, "lasts", `?seconds=${seconds}`);
        return told ? `${told.ended ? "at least " : ""}${(told.ms / 1_000).toFixed(1)} s` : "no answer";
      },
    },
  ];
}

await runAsProgram(import.meta.url, async () => {
  const [origin, token] = process.argv.slice(2);
  if (token === undefined || !URL.canParse(origin)) throw new Failure("usage: npm run probe -- URL TOKEN");
  const seconds = Number(process.env.PROBE_SECONDS ?? 60);
  console.log("| what | the relay counts on | found |\n| --- | --- | --- |");
  for (const { what, expected, measure } of stepsOf(origin, token, seconds))
    console.log(`| ${what} | ${expected} | ${await measure()} |`);
});
