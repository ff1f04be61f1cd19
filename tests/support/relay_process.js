// The relay as a program of its own, for tests that kill it: run by startRelayProcess in relay.js, never by hand.
//
// Its options come as JSON in the first argument; it prints `ready <origin>` when it listens, then what the relay logs.
import { Miniflare } from "miniflare";
import { relayOptions } from "./relay_options.js";

const onLog = (line) => console.log(line);
const miniflare = new Miniflare(relayOptions({ ...JSON.parse(process.argv[2]), onLog }));
console.log(`ready ${(await miniflare.ready).origin}`);
process.once("SIGTERM", async () => {
  await miniflare.dispose();
  process.exit(0);
});
