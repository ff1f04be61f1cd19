// The conformance suite as a program: `node tests/conformance/run.mjs ADAPTER [PART OF AN ID]`; exits with 1 on a failure.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { runSuite, showTable } from "./suite.mjs";
import { startResolver } from "./trap.mjs";

const [adapter, part = ""] = process.argv.slice(2);
if (adapter === undefined) {
  console.error(
    "usage: node tests/conformance/run.mjs ADAPTER [PART OF AN ID]\nAn adapter is a module as tests/conformance/README.md describes it.",
  );
  process.exit(2);
}
const resolver = await startResolver(Number(process.env.RESOLVER_PORT ?? 0));
const sender = await (await import(pathToFileURL(path.resolve(adapter)).href)).start({ resolver });
try {
  const results = await runSuite(sender, (id) => id.includes(part));
  console.log(showTable(sender.name, results));
  process.exitCode = results.length > 0 && results.every(({ result }) => result !== "FAILED") ? 0 : 1;
} finally {
  await sender.stop();
  await resolver.stop();
}
