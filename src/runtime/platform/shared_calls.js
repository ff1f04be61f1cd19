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
 * @property {boolean} hurries
 * @property {(told: string | typeof LEADS) => void} tell
 * @property {(error: unknown) => void} fail
 *
 * @typedef {object} Queue
 * @property {object} [hurrying] The call that began last of those with a command that hurries.
 * @property {object} [other] The one of those without.
 * @property {Waiting[]} waiting
 */

/** @type {Map<string, Queue>} */
const queues = new Map();

/**
 * Sends a command to the object of a stub, and returns the reply. Commands of the same key share calls: one that `hurries`
 * waits only for a call with others that do, any other for each call. Fails if a call that another invocation makes is not
 * answered within `timeout` milliseconds.
 */
export function share(stub, key, command, hurries, timeout) {
  const queue = queues.get(key) ?? { waiting: [] };
  queues.set(key, queue);
  const waits = queue.hurrying !== undefined || (queue.other !== undefined && !hurries);
  return waits ? wait(queue, stub, key, command, hurries, timeout) : lead(queue, stub, key, command, hurries);
}

async function wait(queue, stub, key, command, hurries, timeout) {
  const { promise, resolve: tell, reject: fail } = Promise.withResolvers();
  const waiting = { command, hurries, tell, fail };
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
  return told === LEADS ? lead(queue, stub, key, command, hurries) : told;
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

/** Makes the call of a command and of those that wait. */
async function lead(queue, stub, key, command, hurries) {
  const others = take(queue.waiting);
  const kind = hurries || others.some((other) => other.hurries) ? "hurrying" : "other";
  const call = {};
  queue[kind] = call;
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
    if (queue[kind] === call) {
      queue[kind] = undefined;
      pass(queue, key);
    }
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

/** Lets one that waits for no other call make the next one. If its invocation has ended, the others' timers go off. */
function pass(queue, key) {
  if (queue.hurrying !== undefined) return;
  const { waiting, other } = queue;
  const place = waiting.findIndex(({ hurries }) => hurries || other === undefined);
  if (place >= 0) waiting.splice(place, 1)[0].tell(LEADS);
  else if (other === undefined && queues.get(key) === queue) queues.delete(key);
}
