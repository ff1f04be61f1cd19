// What sees whether a forbidden URL was contacted: a listener on this machine's own addresses, and a resolver that
// gives every name the address of that listener.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

const DNS_HEADER_BYTES = 12;
const TYPE_A = 1;

/** Listens on one port of 127.0.0.1 and, where this machine has it, of ::1; counts who connects, and answers nobody. */
export async function startTrap() {
  let contacts = 0;
  const listen = async (host, port) => {
    const server = createServer((socket) => {
      contacts++;
      socket.on("error", () => {});
      socket.destroy();
    });
    server.listen(port, host);
    await once(server, "listening");
    return server;
  };
  const first = await listen("127.0.0.1", 0);
  const { port } = /** @type {import("node:net").AddressInfo} */ (first.address());
  const second = await listen("::1", port).catch(() => undefined);
  return {
    port,
    hasIpv6: second !== undefined,
    contacts: () => contacts,
    stop: () =>
      Promise.all(
        [first, second].map((server) => server && new Promise((resolve) => server.close(() => resolve(undefined)))),
      ),
  };
}

/** A DNS server on 127.0.0.1 that answers each question for an IPv4 address with 127.0.0.1, and any other with nothing. */
export async function startResolver(port = 0) {
  const socket = createSocket("udp4");
  socket.on("message", (query, { address, port: from }) => {
    if (query.length > DNS_HEADER_BYTES) socket.send(answerTo(query), from, address);
  });
  socket.bind(port, "127.0.0.1");
  await once(socket, "listening");
  return {
    host: "127.0.0.1",
    port: socket.address().port,
    stop: () => new Promise((resolve) => socket.close(() => resolve(undefined))),
  };
}

function answerTo(query) {
  let end = DNS_HEADER_BYTES;
  while (end < query.length && query[end] !== 0) end += query[end] + 1;
  const question = query.subarray(DNS_HEADER_BYTES, end + 5);
  const isAddress = question.length >= 5 && question.readUInt16BE(question.length - 4) === TYPE_A;
  const header = Buffer.alloc(DNS_HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  // An answer, to a recursive question, without error.
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(isAddress ? 1 : 0, 6);
  // The question's name, type A, class IN, not to be kept, four bytes.
  const record = Buffer.from([0xc0, DNS_HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
  return Buffer.concat(isAddress ? [header, question, record] : [header, question]);
}
