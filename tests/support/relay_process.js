// The relay as a separate process, for tests that kill it: startRelayProcess in relay.js runs it.
//
// Its first argument is its options as JSON; it prints `ready <origin>` when it listens, then the relay's log.
import { Miniflare } from "miniflare";
import { relayOptions } from "./relay_options.js";

const onLog = (line) => console.log(line);
const miniflare = new Miniflare(relayOptions({ ...JSON.parse(process.argv[2]), onLog }));
console.log(`ready ${(await miniflare.ready).origin}`);
process.once("SIGTERM", async () => {
  await miniflare.dispose();
  process.exit(0);
});
