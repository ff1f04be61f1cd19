// Calls of objects that posts and Senders of one isolate share.
//
// A command waits for the call of its object that is under way, a moment at most, and leaves with all that wait by then.
// One of them makes the call, with its own stub, as requests may not share those; it resolves the others' promises, which
// are their own. A timer runs for each: it helps them if the invocation that makes the call has ended, and without it the
// runtime would take their waiting for a fault.

// How long a command waits for the call under way.
const WAIT_MS = 10;

// What one call carries at most: commands, and UTF-16 units of those that join the first one.
const COMMANDS = 64;
const LENGTH = 1024 * 1024;

const LEADS = Symbol("makes the call");

/**
 * @typedef {object} Waiting
 * @property {string} command
 * @property {(told: string | typeof LEADS) => void} tell
 * @property {(error: unknown) => void} fail
 *
 * @typedef {object} Queue
 * @property {object} [latest] The call that began last.
 * @property {Waiting[]} waiting
 */

/** @type {Map<string, Queue>} */
const queues = new Map();

/**
 * Sends a command to the object of a stub, and returns the reply. Commands of the same key share calls. Fails if a call that
 * another invocation makes is not answered within `timeout` milliseconds.
 */
export function share(stub, key, command, timeout) {
  const queue = queues.get(key);
  if (queue !== undefined) return wait(queue, stub, key, command, timeout);
  const begun = { waiting: [] };
  queues.set(key, begun);
  return lead(begun, stub, key, command, []);
}

async function wait(queue, stub, key, command, timeout) {
  const { promise, resolve: tell, reject: fail } = Promise.withResolvers();
  const waiting = { command, tell, fail };
  queue.waiting.push(waiting);
  let timer = setTimeout(() => {
    const place = queue.waiting.indexOf(waiting);
    if (place >= 0) {
      queue.waiting.splice(place, 1);
      tell(LEADS);
    } else {
      // It is in a call, and waits so long for its end.
      timer = setTimeout(() => fail(new Error("the call was not answered in time")), timeout);
    }
  }, WAIT_MS);
  let told;
  try {
    told = await promise;
  } finally {
    clearTimeout(timer);
  }
  return told === LEADS ? lead(queue, stub, key, command, take(queue.waiting)) : told;
}

/** Takes the first of those that wait, as many as there is room for. */
function take(waiting) {
  let [count, length] = [0, 0];
  while (count < waiting.length && count + 1 < COMMANDS) {
    length += waiting[count].command.length;
    if (length > LENGTH) break;
    count += 1;
  }
  return waiting.splice(0, count);
}

/** Makes the call of a command and of the others that go with it. */
async function lead(queue, stub, key, command, others) {
  const call = {};
  queue.latest = call;
  try {
    if (others.length === 0) return await stub.obey(command);
    const [reply, ...replies] = await obeyAll(stub, [command, ...others.map((other) => other.command)]);
    for (const [place, { tell, fail }] of others.entries()) {
      const told = replies[place];
      if (isReply(told)) tell(told);
      else fail(told);
    }
    if (isReply(reply)) return reply;
    throw reply;
  } catch (error) {
    // Those that are told already are not told again.
    for (const { fail } of others) fail(error);
    throw error;
  } finally {
    if (queue.latest === call) pass(queue, key);
  }
}

const isReply = (reply) => typeof reply === "string";

async function obeyAll(stub, commands) {
  try {
    return await stub.obeyAll(commands);
  } catch (error) {
    if (!/does not implement the method/.test(error.message)) throw error;
    // An object of an earlier release.
    return Promise.all(commands.map((command) => stub.obey(command).catch((failed) => failed)));
  }
}

/** Lets the next one that waits make a call. If its invocation has ended, the others' timers go off. */
function pass(queue, key) {
  const next = queue.waiting.shift();
  if (next !== undefined) next.tell(LEADS);
  else if (queues.get(key) === queue) queues.delete(key);
}
