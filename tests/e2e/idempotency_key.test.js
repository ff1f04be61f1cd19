// A creation repeated with its Idempotency-Key gets the first answer again and makes nothing; after 24 hours it is new.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { turn } from "../support/hooks.js";
import { startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import { SCOPES, alert, answered, assertRefused, createKey, pathOf } from "../support/steps.js";
import { assertLeadsTo, createVisitor } from "../support/visitor.js";

const HOUR_MS = 3_600_000;
const KEY = "order-1";
// The first statement with which the object of a new webhook makes its tables.
const MAKE_TABLES = "EXISTS segments (place";

let relay;
let endpoint;
before(async () => {
  relay = await startRelay({ hooks: true });
  endpoint = await startReceiver();
});
after(async () => {
  await relay?.stop();
  await endpoint?.stop();
});

/** The body of a new webhook; each workspace has a path of its own at the endpoint. */
const webhookOf = (workspace, rest = {}) => ({
  url: `${endpoint.origin}/${workspace}`,
  events: ["alert.triggered"],
  ...rest,
});
const pingsOf = (workspace) => endpoint.pings().filter(({ url }) => url === `/${workspace}`).length;

/**
 * The calls that have the header: where, a body, another one, and the members of the answer that must not change.
 * Health and ping of a webhook are of the moment.
 * @typedef {{ below: string, body: BodyOf, other: BodyOf, lasting: (answer: any) => any }} CreatingCall
 * @typedef {(workspace: string) => object} BodyOf
 * @satisfies {Record<string, CreatingCall>}
 */
const CALLS = {
  "a webhook": {
    below: "webhooks",
    body: webhookOf,
    other: (workspace) => webhookOf(workspace, { description: "another" }),
    lasting: ({ id, secret, url, events, created_at: created }) => ({ id, secret, url, events, created }),
  },
  "an API key": {
    below: "keys",
    body: () => ({ name: "A", scopes: SCOPES }),
    other: () => ({ name: "B", scopes: SCOPES }),
    lasting: (answer) => answer,
  },
  "a dashboard link": {
    below: "dashboard-links",
    body: () => ({}),
    other: () => ({ expires_in: 60 }),
    lasting: (answer) => answer,
  },
};
const { "a webhook": WEBHOOK, "an API key": API_KEY, "a dashboard link": LINK } = CALLS;

/**
 * Tries to make one of them; `headers` replace the one with the key.
 * @param {CreatingCall} call
 * @param {string} workspace
 * @param {import("../support/types.d.ts").RequestOptions & { key?: string }} [init]
 */
const create = (call, workspace, { key = KEY, body = call.body(workspace), ...init } = {}) =>
  relay.fetch(`/v1/workspaces/${workspace}/${call.below}`, {
    method: "POST",
    body,
    headers: { "idempotency-key": key },
    ...init,
  });

/** What an answer made, without what is of the moment. */
const made = (call, answer) => call.lasting(answered(answer, 201));

/** Asserts that a workspace has as many webhooks or keys, and that each webhook was pinged once. */
async function assertHas(call, workspace, count) {
  // Only webhooks and keys can be counted: a test of its own uses up the link.
  if (call === LINK) return;
  const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/${call.below}`), 200);
  assert.equal(data.length, count);
  if (call === WEBHOOK) assert.equal(pingsOf(workspace), count);
}

for (const [what, call] of Object.entries(CALLS)) {
  describe(`${what} made with an Idempotency-Key`, { concurrency: 4 }, () => {
    test("is answered again to the same body, and made once", async () => {
      const workspace = await createWorkspace(relay);
      const first = await create(call, workspace);
      for (let again = 0; again < 3; again++)
        assert.deepEqual(made(call, await create(call, workspace)), made(call, first));
      await assertHas(call, workspace, 1);
    });

    test("is not made from another body, nor changed by it", async () => {
      const workspace = await createWorkspace(relay);
      const first = await create(call, workspace);
      const refused = await create(call, workspace, { body: call.other(workspace) });
      const { field } = assertRefused(refused, 422, { code: "idempotency_mismatch" });
      assert.ok([undefined, null, "Idempotency-Key"].includes(field), refused.text);
      assert.deepEqual(made(call, await create(call, workspace)), made(call, first));
      await assertHas(call, workspace, 1);
    });

    test("is made once by five posts at the same moment", async () => {
      const workspace = await createWorkspace(relay);
      const answers = await Promise.all(Array.from({ length: 5 }, () => create(call, workspace)));
      const [first, ...others] = answers.map((answer) => made(call, answer));
      for (const other of others) assert.deepEqual(other, first);
      await assertHas(call, workspace, 1);
    });

    test("is another one with another key, and with the same key in another workspace", async () => {
      const [workspace, elsewhere] = [await createWorkspace(relay), await createWorkspace(relay)];
      const body = call.body(workspace);
      const answers = [
        await create(call, workspace, { body }),
        await create(call, workspace, { body, key: "order-2" }),
        await create(call, workspace, { body, key: KEY.toUpperCase() }),
        await create(call, elsewhere, { body }),
      ];
      assert.equal(new Set(answers.map((answer) => JSON.stringify(made(call, answer)))).size, answers.length);
    });

    test("may have a key of 1 to 255 visible ASCII characters, and no other", async () => {
      const workspace = await createWorkspace(relay);
      const refused = {
        empty: "",
        "256 characters": "a".repeat(256),
        "a space": "a b",
        "a tab": "a\tb",
        "no ASCII": "ü",
      };
      for (const [why, key] of Object.entries(refused)) {
        const answer = await create(call, workspace, { key });
        assert.equal(answer.status, 400, `${why}: ${answer.text}`);
        assertRefused(answer, 400, { code: "invalid_parameter", field: "Idempotency-Key" });
      }
      await assertHas(call, workspace, 0);
      const visible = Array.from({ length: 0x7e - 0x20 }, (_, index) => String.fromCharCode(0x21 + index)).join("");
      for (const key of ["a", "a".repeat(255), visible]) {
        const first = await create(call, workspace, { key });
        assert.deepEqual(made(call, await create(call, workspace, { key })), made(call, first));
      }
      await assertHas(call, workspace, 3);
    });
  });
}

describe("an Idempotency-Key", { concurrency: 4 }, () => {
  test("can be used once for each of the three calls", async () => {
    const workspace = await createWorkspace(relay);
    for (const call of Object.values(CALLS)) made(call, await create(call, workspace));
    for (const call of [WEBHOOK, API_KEY]) await assertHas(call, workspace, 1);
  });

  test("repeats the ping of a webhook in the answer, not at the endpoint", async () => {
    const workspace = await createWorkspace(relay);
    const { ping } = answered(await create(WEBHOOK, workspace), 201);
    const { ping: again } = answered(await create(WEBHOOK, workspace), 201);
    assert.deepEqual([again.id, again.status], [ping.id, "delivered"]);
    assert.equal(pingsOf(workspace), 1);
  });

  test("repeats a key that works, and a link that is good for one sign-in", async () => {
    const workspace = await createWorkspace(relay);
    for (const call of [API_KEY, LINK]) await create(call, workspace);
    const { key } = answered(await create(API_KEY, workspace), 201);
    answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: key }), 200);
    const { url } = answered(await create(LINK, workspace), 201);
    const link = new URL(url).searchParams.get("link");
    assertLeadsTo(await createVisitor(relay).post("/sign-in", { link }), "/settings/webhooks");
    const { status } = await createVisitor(relay).post("/sign-in", { link });
    assert.ok(status >= 400 && status < 500, `the link was taken twice: ${status}`);
  });

  test("gives nothing to who may not make it", async () => {
    const workspace = await createWorkspace(relay);
    for (const call of Object.values(CALLS)) made(call, await create(call, workspace));
    const reader = await createKey(relay, workspace, ["webhooks:read"]);
    const writer = await createKey(relay, workspace, ["webhooks:write"]);
    for (const [call, token] of /** @type {[CreatingCall, string][]} */ ([
      [WEBHOOK, reader.key],
      [API_KEY, writer.key],
      [LINK, writer.key],
    ]))
      assertRefused(await create(call, workspace, { token }), 403, { code: "forbidden" });
    for (const call of Object.values(CALLS))
      assertRefused(await create(call, workspace, { token: null }), 401, { code: "unauthorized" });
  });

  test("is ignored by other calls, even an invalid one", async () => {
    const workspace = await createWorkspace(relay);
    const scene = { workspace, webhook: answered(await create(WEBHOOK, workspace), 201) };
    for (const key of [KEY, "a".repeat(256)]) {
      const headers = { "idempotency-key": key };
      for (const description of ["first", "second", "first"]) {
        const answer = await relay.fetch(pathOf(scene), { method: "PATCH", body: { description }, headers });
        assert.equal(answered(answer, 200).description, description);
      }
      const events = `/v1/workspaces/${workspace}/events`;
      const posted = [];
      for (let post = 0; post < 2; post++)
        posted.push(answered(await relay.fetch(events, { method: "POST", body: alert(), headers }), 202));
      assert.notEqual(posted[0].event_id, posted[1].event_id);
    }
  });
});

test("an Idempotency-Key is kept over a restart", async () => {
  const workspace = await createWorkspace(relay);
  const calls = [WEBHOOK, API_KEY];
  const first = [];
  for (const call of calls) first.push(made(call, await create(call, workspace)));
  await relay.restart();
  const again = [];
  for (const call of calls) again.push(made(call, await create(call, workspace)));
  assert.deepEqual(again, first);
  for (const call of calls) await assertHas(call, workspace, 1);
});

for (const [what, call] of Object.entries(CALLS)) {
  test(`the Idempotency-Key of ${what} is kept for 23 hours, and free after 25`, async (t) => {
    const workspace = await createWorkspace(relay);
    const first = made(call, await create(call, workspace));
    t.after(() => turn(relay));
    await turn(relay, { skew_ms: 23 * HOUR_MS });
    assert.deepEqual(made(call, await create(call, workspace)), first);
    assertRefused(await create(call, workspace, { body: call.other(workspace) }), 422, {
      code: "idempotency_mismatch",
    });
    await turn(relay, { skew_ms: 25 * HOUR_MS });
    const anew = made(call, await create(call, workspace, { body: call.other(workspace) }));
    assert.notDeepEqual(anew, first);
    assert.deepEqual(made(call, await create(call, workspace, { body: call.other(workspace) })), anew);
    await assertHas(call, workspace, 2);
  });
}

describe("a webhook whose object could not store it", () => {
  /** Makes a webhook in vain, and returns the id that stands beside the error. */
  async function createInVain(workspace, init) {
    const answer = await create(WEBHOOK, workspace, init);
    assertRefused(answer, 503, { code: "not_applied" });
    assert.match(answer.body.webhook_id, /^wh_[A-Za-z0-9_-]+$/);
    assert.ok(Number(answer.headers.get("retry-after")) > 0, "no Retry-After");
    return answer.body.webhook_id;
  }
  async function failTables(t, times) {
    t.after(() => turn(relay));
    await turn(relay, { fault: { statement: MAKE_TABLES, times } });
  }

  test("is named in the 503, and answered with its secret and its one ping to the same post", async (t) => {
    const workspace = await createWorkspace(relay);
    await failTables(t, 1);
    const id = await createInVain(workspace);
    const first = answered(await create(WEBHOOK, workspace), 201);
    assert.deepEqual([first.id, first.ping.status], [id, "delivered"]);
    const { secret } = answered(await relay.fetch(pathOf({ workspace, webhook: { id } }, "/secret")), 200);
    assert.equal(first.secret, secret);
    assert.deepEqual(made(WEBHOOK, await create(WEBHOOK, workspace)), WEBHOOK.lasting(first));
    await assertHas(WEBHOOK, workspace, 1);
  });

  test("is named by every 503 until it is stored, and not changed by another body", async (t) => {
    const workspace = await createWorkspace(relay);
    await failTables(t, 1_000);
    const id = await createInVain(workspace);
    assert.equal(await createInVain(workspace), id);
    const other = await create(WEBHOOK, workspace, { body: WEBHOOK.other(workspace) });
    assertRefused(other, 422, { code: "idempotency_mismatch" });
    await turn(relay);
    assert.equal(made(WEBHOOK, await create(WEBHOOK, workspace)).id, id);
    await assertHas(WEBHOOK, workspace, 1);
  });

  test("is named in the 503 without an Idempotency-Key too", async (t) => {
    const workspace = await createWorkspace(relay);
    await failTables(t, 1);
    const id = await createInVain(workspace, { headers: {} });
    const { data } = answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`), 200);
    assert.deepEqual(
      data.map((webhook) => webhook.id),
      [id],
    );
  });
});
