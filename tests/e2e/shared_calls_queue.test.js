// Which commands of an object share a call, and what becomes of those whose call another invocation makes.
//
// Without a Worker, on a mocked clock: an invocation that ends in the middle of its call cannot be made at will. Such a call
// is never answered.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { share } from "../../src/runtime/platform/shared_calls.js";

const TIMEOUT = 2_000;

/** An object whose calls are answered when the test says so; the reply to a command is the command in capitals. */
class TestObject {
  calls = [];
  key = crypto.randomUUID();

  obey(command) {
    return this.obeyAll([command]).then(([reply]) => reply);
  }

  obeyAll(commands) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const replies = commands.map((command) => command.toUpperCase());
    this.calls.push({ commands, answer: (told = replies) => resolve(told), fail: reject });
    return promise;
  }

  accept(command) {
    return share(this, this.key, command, true, TIMEOUT);
  }

  report(command) {
    return share(this, this.key, command, false, TIMEOUT);
  }

  /** The commands of each call so far. */
  commands() {
    return this.calls.map(({ commands }) => commands);
  }

  async answer(call) {
    this.calls[call].answer();
    await settled();
  }
}

// Promises that are resolved by then have told whoever waits for them. Timers are mocked, immediates are not.
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settled();
}

describe("a command of an object", { concurrency: 1 }, () => {
  let object;
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout"] });
    object = new TestObject();
  });
  afterEach(() => mock.timers.reset());

  test("goes at once if none is under way", async () => {
    for (const [number, command] of ["a", "b"].entries()) {
      const reply = object.accept(command);
      await object.answer(number);
      assert.equal(await reply, command.toUpperCase());
    }
    assert.deepEqual(object.commands(), [["a"], ["b"]]);
  });

  test("waits for the call under way, leaves with all that wait, and gets its own reply", async () => {
    const replies = [object.accept("a"), object.accept("b"), object.report("c"), object.accept("d")];
    assert.deepEqual(object.commands(), [["a"]]);
    await object.answer(0);
    assert.deepEqual(object.commands(), [["a"], ["b", "c", "d"]]);
    await object.answer(1);
    assert.deepEqual(await Promise.all(replies), ["A", "B", "C", "D"]);
  });

  test("waits 10 ms at most, and then takes along what waits", async () => {
    const first = object.accept("a");
    const others = [object.accept("b")];
    await pass(9);
    others.push(object.accept("c"));
    assert.deepEqual(object.commands(), [["a"]]);
    await pass(1);
    assert.deepEqual(object.commands(), [["a"], ["b", "c"]]);
    await object.answer(1);
    await object.answer(0);
    assert.deepEqual(await Promise.all([first, ...others]), ["A", "B", "C"]);
  });

  test("that accepts does not wait for a report, and takes along the reports that wait", async () => {
    const replies = [object.report("a"), object.report("b"), object.accept("c")];
    assert.deepEqual(object.commands(), [["a"], ["c", "b"]]);
    await object.answer(1);
    await object.answer(0);
    assert.deepEqual(await Promise.all(replies), ["A", "B", "C"]);
  });

  test("that reports waits for each call, and goes when none is under way", async () => {
    const replies = [object.report("a"), object.accept("b"), object.report("c")];
    await object.answer(1);
    assert.deepEqual(object.commands(), [["a"], ["b"]]);
    await object.answer(0);
    assert.deepEqual(object.commands(), [["a"], ["b"], ["c"]]);
    await object.answer(2);
    assert.deepEqual(await Promise.all(replies), ["A", "B", "C"]);
  });

  test("shares its call with 63 others at most, and with 1 MiB of them", async () => {
    const many = Array.from({ length: 100 }, () => object.accept("a"));
    await object.answer(0);
    await object.answer(1);
    await object.answer(2);
    assert.deepEqual(
      object.commands().map((commands) => commands.length),
      [1, 64, 35],
    );
    const half = "b".repeat(512 * 1024);
    const large = Array.from({ length: 5 }, () => object.accept(half));
    for (const call of [3, 4, 5]) await object.answer(call);
    assert.deepEqual(
      object.commands().map((commands) => commands.length),
      [1, 64, 35, 1, 3, 1],
    );
    await Promise.all([...many, ...large]);
  });

  test("fails alone if its reply is an error, and with all that share its call if that fails", async () => {
    const first = object.accept("a");
    const [second, third] = [object.accept("b"), object.accept("c")].map((reply) => reply.catch((error) => error));
    await object.answer(0);
    const refused = new Error("refused");
    object.calls[1].answer(["B", refused]);
    assert.deepEqual(await Promise.all([first, second, third]), ["A", "B", refused]);
    const replies = [object.accept("d"), object.accept("e"), object.accept("f")].map((reply) => reply.catch(String));
    await object.answer(2);
    object.calls[3].fail(new Error("lost"));
    assert.deepEqual(await Promise.all(replies), ["D", "Error: lost", "Error: lost"]);
  });

  test("fails after its time if the invocation that makes its call has ended, and the next one goes at once", async () => {
    void object.accept("a");
    void object.accept("b").catch(() => {});
    await pass(1);
    const third = object.accept("c").catch(String);
    await pass(9);
    assert.deepEqual(object.commands(), [["a"], ["b", "c"]]);
    // Its own timer goes off a millisecond later, and finds it in a call.
    await pass(1);
    await pass(TIMEOUT - 1);
    const fourth = object.accept("d");
    await pass(1);
    assert.equal(await third, "Error: the call was not answered in time");
    await pass(9);
    await object.answer(2);
    assert.equal(await fourth, "D");
    const fifth = object.accept("e");
    await object.answer(3);
    assert.equal(await fifth, "E");
  });

  test("goes alone to an object of an earlier release, with the others at the same time", async () => {
    const { obeyAll } = object;
    object.obeyAll = async () => {
      throw new TypeError('The RPC receiver does not implement the method "obeyAll".');
    };
    object.obey = (command) => obeyAll.call(object, [command]).then(([reply]) => reply);
    const replies = [object.accept("a"), object.accept("b"), object.report("c")];
    await object.answer(0);
    assert.deepEqual(object.commands(), [["a"], ["b"], ["c"]]);
    await object.answer(1);
    await object.answer(2);
    assert.deepEqual(await Promise.all(replies), ["A", "B", "C"]);
  });
});
