// Each form of the dashboard: what it does, how it refuses, and that a read-only session cannot use it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/eventually.js";
import { answerInTurn, answerWith, hang, startReceiver } from "../support/receiver.js";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  acceptForOne,
  acceptArray,
  alert,
  answered,
  awaitDelivery,
  awaitSettled,
  pathOf,
  readDelivery,
  setUpWebhook,
} from "../support/steps.js";
import { assertLeadsTo, assertPage, assertTells, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";
// Well-formed but never assigned.
const NOBODY = "00000000000070008000000000000000";

// Deliveries of a page of the log.
const PAGE = 20;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** A webhook, a visitor who may change it, and the path of its page. */
async function setUp(t, answer, settings) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  return { ...scene, visitor: await signIn(relay, scene.workspace), page: `${HOME}/${scene.webhook.id}` };
}

const read = async (scene, below = "") => answered(await relay.fetch(pathOf(scene, below)), 200);
const webhooksOf = async (workspace) => answered(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`), 200).data;
const settingsOf = ({ webhook, receiver }) => ({
  url: receiver.url,
  events: webhook.events[0],
  description: "",
  headers: "",
});

/** The page that a redirect leads to. */
const follow = async (visitor, answer) => assertPage(await visitor.get(assertLeadsTo(answer, /^\/settings/)));

describe("adding a webhook", () => {
  test("saves it, pings it, and shows the ping and the secret", async (t) => {
    const receiver = await startReceiver(answerWith(200), { ping: answerWith(200, {}, "pong of the endpoint") });
    t.after(() => receiver.stop());
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const fields = [
      ["url", receiver.url],
      ["events", "agent.error"],
      ["events", "alert.triggered"],
      ["description", "first\r\nsecond"],
      ["headers", "X-Team: a b\r\nX-Other:c\r\n"],
      ["secret", "my-own-secret"],
    ];
    const answer = await visitor.post(`${HOME}/new`, fields);
    const [webhook] = await webhooksOf(workspace);
    assertLeadsTo(answer, new RegExp(`^${HOME}/${webhook.id}\\?created=evt_\\w+$`));
    assertTells(visitor, "created");
    assert.deepEqual(
      [webhook.url, webhook.events.toSorted(), webhook.description, webhook.headers],
      [receiver.url, ["agent.error", "alert.triggered"], "first\nsecond", { "X-Team": "a b", "X-Other": "c" }],
    );
    assert.equal(receiver.pings().length, 1);
    const html = await follow(visitor, answer);
    assert.ok(html.includes("pong of the endpoint"), "the ping's answer is not shown");
    assert.ok(html.includes("Webhook created.") && !html.includes("my-own-secret"));
    const revealed = assertPage(await visitor.post(`${HOME}/${webhook.id}/secret`));
    assert.ok(revealed.includes("my-own-secret"), "the secret is not shown");
    assert.equal((await read({ workspace, webhook }, "/secret")).secret, "my-own-secret");
  });

  test("generates a secret if none is typed, and succeeds even if the ping fails", async (t) => {
    const receiver = await startReceiver(answerWith(200), { ping: answerWith(503) });
    t.after(() => receiver.stop());
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const answer = await visitor.post(`${HOME}/new`, {
      url: receiver.url,
      events: "agent.error",
      description: "",
      headers: "",
      secret: "",
    });
    const html = await follow(visitor, answer);
    const [webhook] = await webhooksOf(workspace);
    const { secret } = await read({ workspace, webhook }, "/secret");
    assert.match(secret, /^whsec_/);
    assert.ok(assertPage(await visitor.post(`${HOME}/${webhook.id}/secret`)).includes(secret), "it is not shown");
    assert.ok(html.includes("503"), "the failed ping is not shown");
    assert.ok(html.includes("Webhook created, but its ping failed."));
  });

  test("shows each error beside its field, keeps what was typed, and stores nothing", async () => {
    const workspace = await createWorkspace(relay);
    const visitor = await signIn(relay, workspace);
    const good = {
      url: "https://hooks.example.com/typed",
      events: "agent.error",
      description: "typed note",
      headers: "X-Team: typed",
      secret: "",
    };
    for (const wrong of [
      { url: "" },
      { url: "ftp://hooks.example.com/typed" },
      { url: "https://user:word@hooks.example.com" },
      { events: "unknown" },
      { events: [] },
      { secret: "short" },
      { secret: "whsec_!!" },
      { headers: "no colon" },
      { headers: "Host: a" },
      { headers: "X-Team: a\nx-team: b" },
      { description: "a".repeat(1_001) },
      { rate_limit: "0" },
      { rate_limit: "1,5" },
      { retry_schedule: "soon" },
      { retry_schedule: "1m,25h" },
    ]) {
      const html = assertPage(await visitor.post(`${HOME}/new`, { ...good, ...wrong }), 422);
      const [field] = Object.keys(wrong);
      assert.match(
        html,
        new RegExp(`id="${field}-error"`),
        `${JSON.stringify(wrong)}: nothing is said beside the field`,
      );
      if (!("description" in wrong))
        assert.ok(html.includes("typed note"), `${JSON.stringify(wrong)}: the note is lost`);
      if (!("url" in wrong)) assert.ok(html.includes(good.url), `${JSON.stringify(wrong)}: the URL is lost`);
    }
    assert.deepEqual(await webhooksOf(workspace), []);
  });

  test("says so if the workspace has as many as it may", { timeout: 120_000 }, async (t) => {
    const scene = await setUp(t);
    const { url } = scene.receiver;
    const body = { url, events: ["agent.error"] };
    const path = `/v1/workspaces/${scene.workspace}/webhooks`;
    for (let count = 1; count < 50; count += 7) {
      const some = Array.from({ length: Math.min(7, 50 - count) }, () => relay.fetch(path, { method: "POST", body }));
      for (const answer of await Promise.all(some)) answered(answer, 201);
    }
    const html = assertPage(
      await scene.visitor.post(`${HOME}/new`, { url, events: "agent.error", description: "typed note" }),
      409,
    );
    assert.ok(html.includes("typed note") && html.includes("at most 50 webhooks"), html);
    assertPage(await scene.visitor.get(HOME));
  });
});

describe("a webhook's settings", () => {
  test("are saved", async (t) => {
    const scene = await setUp(t);
    const fields = {
      url: `${scene.receiver.url}/other`,
      events: "policy.violated",
      description: "new",
      headers: "X-New: 1",
    };
    const answer = await scene.visitor.post(scene.page, fields);
    assertLeadsTo(answer, scene.page);
    assertTells(scene.visitor, "saved");
    assert.ok((await follow(scene.visitor, answer)).includes("Settings saved."));
    // Once: the page clears the cookie.
    assert.ok(!(await follow(scene.visitor, answer)).includes("Settings saved."));
    const { url, events, description, headers } = await read(scene);
    assert.deepEqual([url, events, description, headers], [fields.url, ["policy.violated"], "new", { "X-New": "1" }]);
  });

  test("show an error beside the field and keep what was typed", async (t) => {
    const scene = await setUp(t);
    const html = assertPage(
      await scene.visitor.post(scene.page, { ...settingsOf(scene), url: "nonsense", description: "typed note" }),
      422,
    );
    assert.match(html, /aria-invalid="true"/);
    assert.ok(html.includes("typed note") && html.includes("nonsense"));
    assert.equal((await read(scene)).url, scene.webhook.url);
  });

  test("set a pace, show it again, and remove it", async (t) => {
    const scene = await setUp(t);
    const pace = { ordered: "true", rate_limit: "2.5", retry_schedule: "1m, 10m ,2h" };
    assertLeadsTo(await scene.visitor.post(scene.page, { ...settingsOf(scene), ...pace }), scene.page);
    const { ordered, rate_limit: rate, retry_schedule: schedule } = await read(scene);
    assert.deepEqual([ordered, rate, schedule], [true, { per_second: 2.5 }, ["1m", "10m", "2h"]]);
    const html = assertPage(await scene.visitor.get(scene.page));
    for (const part of ['value="2.5"', 'value="1m, 10m, 2h"', 'name="ordered" value="true" checked'])
      assert.ok(html.includes(part), `${part} is not shown`);
    const none = { ...settingsOf(scene), rate_limit: "", retry_schedule: "" };
    assertLeadsTo(await scene.visitor.post(scene.page, none), scene.page);
    const removed = await read(scene);
    assert.deepEqual([removed.ordered, removed.rate_limit, removed.retry_schedule], [false, null, null]);
  });

  test("are paused, and enabled or disabled from there", async (t) => {
    const scene = await setUp(t);
    for (const [action, status] of [
      ["pause", "paused"],
      ["enable", "enabled"],
      ["pause", "paused"],
      ["disable", "disabled"],
    ]) {
      assertLeadsTo(await scene.visitor.post(`${scene.page}/${action}`), scene.page);
      assertTells(scene.visitor, status);
      assert.equal((await read(scene)).status, status);
    }
  });

  test("are disabled and enabled", async (t) => {
    const scene = await setUp(t);
    assertLeadsTo(await scene.visitor.post(`${scene.page}/disable`), scene.page);
    assert.equal((await read(scene)).disabled_reason, "manual");
    assertPage(await scene.visitor.get(scene.page));
    assertLeadsTo(await scene.visitor.post(`${scene.page}/enable`), scene.page);
    assert.equal((await read(scene)).status, "enabled");
  });

  test("are deleted after a confirmation", async (t) => {
    const scene = await setUp(t);
    assert.ok(assertPage(await scene.visitor.get(`${scene.page}/delete`)).includes(scene.receiver.url));
    assert.equal((await webhooksOf(scene.workspace)).length, 1);
    const answer = await scene.visitor.post(`${scene.page}/delete`);
    assertLeadsTo(answer, HOME);
    assertTells(scene.visitor, "deleted");
    assert.deepEqual(await webhooksOf(scene.workspace), []);
    assert.ok(!(await follow(scene.visitor, answer)).includes(scene.receiver.url));
    assertPage(await scene.visitor.post(`${scene.page}/delete`), 404);
  });
});

describe("a test event", () => {
  test("is sent at once, and its result shown in place", async (t) => {
    const scene = await setUp(t, answerWith(418, { "x-kind": "teapot" }, "short and stout"));
    const answer = await scene.visitor.post(`${scene.page}/test`, { type: "policy.violated" });
    const location = assertLeadsTo(answer, new RegExp(`^${scene.page}\\?test=evt_\\w+#test$`));
    assert.equal(scene.receiver.events().length, 1);
    assert.equal(scene.receiver.events()[0].headers["x-secureagentics-event"], "policy.violated");
    const html = assertPage(await scene.visitor.get(location));
    for (const part of ["418", "short and stout", "x-kind", "teapot"])
      assert.ok(html.includes(part), `${part} is not shown`);
    // A reload shows it again and does not send it again.
    assertPage(await scene.visitor.get(location));
    assert.equal(scene.receiver.events().length, 1);
  });

  test("needs a type of the catalogue", async (t) => {
    const scene = await setUp(t);
    for (const fields of [{}, { type: "" }, { type: "unknown" }, { type: "ping" }])
      assertPage(await scene.visitor.post(`${scene.page}/test`, fields), 422);
    assert.equal(scene.receiver.events().length, 0);
  });
});

describe("a delivery", () => {
  test("is shown and sent again", async (t) => {
    const scene = await setUp(t, answerWith(200));
    const entry = await acceptForOne(relay, scene.workspace, alert({ data: { marker: "marked-payload" } }));
    await awaitSettled(relay, scene.workspace, entry);
    const page = `${scene.page}/deliveries/${entry.id}`;
    const html = assertPage(await scene.visitor.get(page));
    assert.ok(html.includes("marked-payload") && html.includes(entry.id));
    assertLeadsTo(await scene.visitor.post(`${page}/resend`), page);
    await eventually(() => scene.receiver.attemptsOf(entry.id).length === 2);
  });

  test("is sent now, and says why it cannot be", async (t) => {
    const scene = await setUp(t, answerInTurn(500, 200), { retry_schedule: ["1h"] });
    const entry = await acceptForOne(relay, scene.workspace);
    await awaitDelivery(relay, scene.workspace, entry, (delivery) => delivery.next_attempt_at !== null);
    const page = `${scene.page}/deliveries/${entry.id}`;
    assert.ok(assertPage(await scene.visitor.get(page)).includes(`action="${page}/send-now"`));
    assertLeadsTo(await scene.visitor.post(`${page}/send-now`), page);
    await awaitSettled(relay, scene.workspace, entry);
    assert.equal(scene.receiver.attemptsOf(entry.id).length, 2);
    assert.match(assertPage(await scene.visitor.post(`${page}/send-now`), 409), /already ended/);
  });

  test("is cancelled once, and says so the second time", async (t) => {
    const scene = await setUp(t, () => hang());
    const entry = await acceptForOne(relay, scene.workspace);
    const page = `${scene.page}/deliveries/${entry.id}`;
    assertPage(await scene.visitor.post(`${page}/resend`), 409);
    assertLeadsTo(await scene.visitor.post(`${page}/cancel`), page);
    assert.equal((await readDelivery(relay, scene.workspace, entry)).reason, "cancelled");
    const html = assertPage(await scene.visitor.post(`${page}/cancel`), 409);
    assert.match(html, /already ended/);
  });

  test("is found by its id and by its event's id", async (t) => {
    const scene = await setUp(t);
    const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-17" }));
    for (const id of [entry.id, "order-17", ` ${entry.id} `]) {
      assertLeadsTo(
        await scene.visitor.get(`${scene.page}?id=${encodeURIComponent(id)}`),
        `${scene.page}/deliveries/${entry.id}`,
      );
    }
    for (const id of [`evt_${NOBODY}`, "unknown", "not an id"])
      assertPage(await scene.visitor.get(`${scene.page}?id=${encodeURIComponent(id)}`));
  });

  test("is listed by status, type and time, page by page", async (t) => {
    const scene = await setUp(t, answerWith(200));
    const posted = await acceptArray(
      relay,
      scene.workspace,
      Array.from({ length: 3 * PAGE }, () => alert()),
    );
    const ids = posted.map(({ deliveries }) => deliveries[0].id);
    await eventually(() => ids.every((id) => scene.receiver.receivedIds().has(id)), { timeout: 30_000 });
    const listed = async (query) => {
      const html = assertPage(await scene.visitor.get(`${scene.page}?${query}`));
      return { html, found: ids.filter((id) => html.includes(`/deliveries/${id}`)) };
    };
    const found = [];
    let next = "";
    for (const count of [PAGE, PAGE, PAGE]) {
      const page = await listed(`type=alert.triggered&${next}`);
      assert.equal(page.found.length, count);
      found.push(...page.found);
      [next] = page.html.match(/cursor=evt_[0-9a-f]+(?=#deliveries" rel="next")/) ?? [];
      assert.ok(next || found.length === ids.length, "there is no way to the next page");
    }
    assert.deepEqual(found.sort(), ids.toSorted());
    for (const query of ["status=failed", "type=agent.error", "until=2026-01-01", "since=2200-01-01T00:00"]) {
      assert.deepEqual((await listed(query)).found, [], query);
    }
    for (const query of ["range=24h", "range=7d", "range=30d", "range=all", "since=2026-01-01"])
      assert.equal((await listed(query)).found.length, PAGE, query);
    assertPage(
      await scene.visitor.get(
        `${scene.page}?since=yesterday&status=odd&cursor=odd&test=odd&created=odd&resend=odd&chart=odd`,
      ),
    );
  });
});

test("an event is traced to each webhook, or the page says why it did not go there", async (t) => {
  const scene = await setUp(t);
  const other = await setUpWebhook(t, relay, undefined, { workspace: scene.workspace, events: ["agent.error"] });
  const entry = await acceptForOne(relay, scene.workspace, alert({ event_id: "order-18" }));
  for (const id of ["order-18", entry.id]) {
    const html = assertPage(await scene.visitor.get(`/settings/events?id=${id}`));
    for (const part of [entry.id, scene.receiver.url, other.receiver.url])
      assert.ok(html.includes(part), `${id}: ${part} is not shown`);
  }
  assertPage(await scene.visitor.get("/settings/events?id=unknown"), 404);
  assertPage(await scene.visitor.get("/settings/events?id=unknown&type=agent.error&at=2026-01-01T00:00"));
  for (const query of ["id=not+an+id", "id=unknown&type=odd", "id=unknown&type=agent.error&at=yesterday"]) {
    assertPage(await scene.visitor.get(`/settings/events?${query}`), 422);
  }
});

test("a read-only session sees no buttons and cannot post", async (t) => {
  const scene = await setUp(t, answerWith(410), { headers: { "X-Team": "team-secret" } });
  const entry = await acceptForOne(relay, scene.workspace);
  await awaitSettled(relay, scene.workspace, entry);
  const reader = await signIn(relay, scene.workspace, ["webhooks:read"]);
  const { page } = scene;
  const sent = scene.receiver.requests.length;
  for (const path of [HOME, page, `${page}/deliveries/${entry.id}`]) {
    const html = assertPage(await reader.get(path));
    assert.ok(!html.includes("team-secret"), path);
    const forms = [...html.matchAll(/<form[^>]*method="post"[^>]*action="([^"]*)"/g)].map(([, action]) => action);
    assert.deepEqual(forms, ["/sign-out"], path);
  }
  for (const path of [`${HOME}/new`, `${page}/delete`]) assertPage(await reader.get(path), 403);
  for (const [path, fields] of [
    [`${HOME}/new`, settingsOf(scene)],
    [`${HOME}/new`, {}],
    [page, settingsOf(scene)],
    [page, {}],
    [`${page}/enable`, {}],
    [`${page}/disable`, {}],
    [`${page}/pause`, {}],
    [`${page}/delete`, {}],
    [`${page}/rotate`, { overlap_seconds: "0" }],
    [`${page}/rotate`, {}],
    [`${page}/end-overlap`, {}],
    [`${page}/secret`, {}],
    [`${page}/test`, { type: "agent.error" }],
    [`${page}/test`, {}],
    [`${page}/resend`, { status: "failed" }],
    [`${page}/resend`, {}],
    [`${page}/resend/rs_${NOBODY}/stop`, {}],
    [`${page}/deliveries/${entry.id}/resend`, {}],
    [`${page}/deliveries/${entry.id}/send-now`, {}],
    [`${page}/deliveries/${entry.id}/cancel`, {}],
  ])
    assertPage(await reader.post(path, fields), 403);
  assert.equal((await read(scene)).disabled_reason, "gone");
  assert.equal(scene.receiver.requests.length, sent);
});
