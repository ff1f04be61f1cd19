// Each page of the dashboard: its security headers, its errors as pages, and hostile texts shown as text.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requestRaw } from "../support/raw_request.js";
import { answerWith } from "../support/receiver.js";
import { startRelay } from "../support/relay.js";
import { acceptForOne, alert, answered, awaitSettled, setUpWebhook } from "../support/steps.js";
import { assertLeadsTo, assertPage, createVisitor, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'";
const LARGEST_PAGE = 50 * 1024;
// Well-formed but never assigned.
const NOBODY = "00000000000070008000000000000000";

let relay;
let scene;
let visitor;
before(async () => {
  relay = await startRelay();
  // Shared by the whole file, so that each test has a webhook with a delivery.
  scene = await setUpWebhook({ after }, relay, answerWith(200));
  scene.delivery = await acceptForOne(relay, scene.workspace);
  await awaitSettled(relay, scene.workspace, scene.delivery);
  visitor = await signIn(relay, scene.workspace);
});
after(() => relay?.stop());

const webhookPage = () => `${HOME}/${scene.webhook.id}`;
/** Each page that a signed-in visitor can open. */
const pages = () => [
  HOME,
  `${HOME}/new`,
  webhookPage(),
  `${webhookPage()}?chart=7d&status=failed&range=24h`,
  `${webhookPage()}/delete`,
  `${webhookPage()}/resend`,
  `${webhookPage()}/deliveries/${scene.delivery.id}`,
  "/settings/events",
  `/settings/events?id=${scene.delivery.id}`,
  "/sign-in",
];

function assertGuarded({ headers }, cache = "no-store") {
  assert.equal(headers.get("content-security-policy"), POLICY);
  assert.equal(headers.get("referrer-policy"), "same-origin");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(headers.get("cache-control"), cache);
  assert.ok(headers.get("x-request-id")?.length > 0);
}

describe("each page", () => {
  test("exists, has the security headers, and is small", async (t) => {
    for (const path of pages()) {
      const answer = await visitor.get(path);
      const html = assertPage(answer);
      assertGuarded(answer);
      t.diagnostic(`${path.replace(/\w{20,}/g, "…")}: ${html.length} bytes`);
      assert.ok(html.length < LARGEST_PAGE, `${path} has ${html.length} bytes`);
      assert.ok(
        !/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i.test(html),
        `${path} has an inline script or style`,
      );
      const addresses = [...html.matchAll(/\s(?:src|href|action)="([^"]*)"/g)].map(([, address]) => address);
      for (const address of addresses.filter((one) => /^(\w+:|\/\/)/.test(one)))
        assert.fail(`${path} leads to ${address}`);
    }
  });

  test("answers HEAD like GET, without the body", async () => {
    for (const path of pages()) {
      const answer = await visitor.get(path, { method: "HEAD" });
      assert.equal(answer.status, 200);
      assert.equal(answer.text, "");
      assertGuarded(answer);
    }
  });

  test("redirects to the sign-in page without a session", async () => {
    for (const path of pages().filter((one) => one !== "/sign-in")) {
      const answer = await createVisitor(relay).get(path);
      const location = assertLeadsTo(answer, /^\/sign-in/);
      assert.equal(new URL(location, relay.origin).searchParams.get("next") ?? HOME, path);
      assertGuarded(answer);
    }
  });
});

test("the root redirects to the webhooks", async () => {
  assertLeadsTo(await createVisitor(relay).get("/"), HOME, 302);
});

test("each static file is cached for ever under its current address, and revalidated under any other", async () => {
  const html = assertPage(await createVisitor(relay).get("/sign-in"));
  const files = [...html.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, address]) => address);
  assert.ok(files.length >= 2, html);
  for (const address of files) {
    const answer = await createVisitor(relay).get(address);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^(text\/css|text\/javascript|image\/svg\+xml)/);
    // Its address names a colour and not the content: another version may derive other shades from it.
    if (address.startsWith("/assets/theme.css")) {
      assertGuarded(answer, "public, max-age=86400");
      assertGuarded(await createVisitor(relay).get("/assets/theme.css"), "no-cache");
      continue;
    }
    assertGuarded(answer, "public, max-age=31536000, immutable");
    assertGuarded(await createVisitor(relay).get(address.replace(/\?.*/, "?0")), "no-cache");
  }
  assertPage(await createVisitor(relay).get("/assets/nothing.css"), 404);
});

describe("an error is a page", () => {
  test("404 for what does not exist, and for another workspace's resources", async (t) => {
    const theirs = await setUpWebhook(t, relay);
    const entry = await acceptForOne(relay, theirs.workspace);
    const paths = [
      "/settings",
      "/settings/",
      "/settings/nothing",
      `${HOME}/`,
      `${HOME}/wh_${NOBODY}`,
      `${HOME}/nonsense`,
      `${HOME}/${theirs.webhook.id}`,
      `${HOME}/${theirs.webhook.id}/delete`,
      `${HOME}/${theirs.webhook.id}/resend`,
      `${HOME}/${theirs.webhook.id}/deliveries/${entry.id}`,
      `${webhookPage()}/deliveries/${entry.id}`,
      `${webhookPage()}/deliveries/evt_${NOBODY}`,
      `${webhookPage()}/deliveries/nonsense`,
      `${webhookPage()}/nothing`,
      "/sign-in/now",
      "/assets",
    ];
    for (const path of paths) {
      const answer = await visitor.get(path);
      assertPage(answer, 404);
      assertGuarded(answer);
    }
  });

  test("404 for a form of another workspace's webhook, without effect", async (t) => {
    const theirs = await setUpWebhook(t, relay, answerWith(500));
    const entry = await acceptForOne(relay, theirs.workspace);
    await awaitSettled(relay, theirs.workspace, entry);
    const sent = theirs.receiver.requests.length;
    const webhook = `${HOME}/${theirs.webhook.id}`;
    const forms = [
      [webhook, { url: theirs.receiver.url, events: "agent.error" }],
      [`${webhook}/disable`, {}],
      [`${webhook}/enable`, {}],
      [`${webhook}/pause`, {}],
      [`${webhook}/delete`, {}],
      [`${webhook}/rotate`, { overlap_seconds: "0" }],
      [`${webhook}/end-overlap`, {}],
      [`${webhook}/secret`, {}],
      [`${webhook}/test`, { type: "agent.error" }],
      [`${webhook}/resend`, { status: "failed" }],
      [`${webhook}/resend/rs_${NOBODY}/stop`, {}],
      [`${webhook}/deliveries/${entry.id}/resend`, {}],
      [`${webhook}/deliveries/${entry.id}/send-now`, {}],
      [`${webhook}/deliveries/${entry.id}/cancel`, {}],
    ];
    for (const [path, fields] of forms) assertPage(await visitor.post(path, fields), 404);
    assert.equal(theirs.receiver.requests.length, sent);
    const left = answered(await relay.fetch(`/v1/workspaces/${theirs.workspace}/webhooks/${theirs.webhook.id}`), 200);
    assert.deepEqual(left, { ...left, status: "enabled", updated_at: theirs.webhook.updated_at });
  });

  test("405 with the methods that are allowed", async () => {
    for (const [method, path, allow] of [
      ["POST", "/", "GET, HEAD"],
      ["PUT", HOME, "GET, HEAD"],
      ["DELETE", webhookPage(), "GET, HEAD, POST"],
      ["GET", `${webhookPage()}/disable`, "POST"],
      ["GET", "/sign-out", "POST"],
      ["QUERY", HOME, "GET, HEAD"],
      ["OPTIONS", "/sign-in", "GET, HEAD, POST"],
      ["PATCH", "/assets/style.css", "GET, HEAD"],
    ]) {
      const answer = await visitor.get(path, { method, headers: { origin: relay.origin } });
      assertPage(answer, 405);
      assert.equal(answer.headers.get("allow"), allow, `${method} ${path}`);
      assertGuarded(answer);
    }
  });

  test("415 for a body that is not a form, 413 for one that is too large", async () => {
    const forms = [`${HOME}/new`, webhookPage(), `${webhookPage()}/disable`, `${webhookPage()}/test`, "/sign-in"];
    for (const path of forms) {
      for (const type of ["application/json", "text/plain", "multipart/form-data; boundary=x"]) {
        assertPage(await visitor.post(path, {}, { headers: { "content-type": type } }), 415);
      }
      // Refused before it is sent if its length is declared, otherwise as soon as it is too large.
      for (const [length, part] of /** @type {[object, string][]} */ ([
        [{ "content-length": "1000000" }, "key="],
        [{ "transfer-encoding": "chunked" }, `key=${"a".repeat(65 * 1024)}`],
      ])) {
        const headers = {
          "content-type": "application/x-www-form-urlencoded",
          origin: relay.origin,
          cookie: visitor.cookie,
          ...length,
        };
        assertPage(await requestRaw(relay.origin, path, { method: "POST", headers, part }), 413);
      }
    }
  });

  test("403 without the scope", async () => {
    // Nobody signs in without a scope of webhooks, and each page needs one of the two.
    const [blind, reader] = [
      await signIn(relay, scene.workspace, ["events:write", "webhooks:write"]),
      await signIn(relay, scene.workspace, ["events:write", "webhooks:read"]),
    ];
    for (const path of pages().filter((one) => one !== "/sign-in")) {
      const visitor = /\/(new|delete|resend)$/.test(path) ? reader : blind;
      const html = assertPage(await visitor.get(path), 403);
      assert.ok(!html.includes(scene.receiver.url), path);
    }
  });

  test("500 if a setting of the relay does not parse", async () => {
    const broken = await startRelay({ vars: { RETRY_SCHEDULE: "soon" } });
    try {
      const answer = await createVisitor(broken).get(HOME);
      const html = assertPage(answer, 500);
      assertGuarded(answer);
      assert.ok(
        html.includes(answer.headers.get("x-request-id")),
        "the page does not show the id under which the log has it",
      );
    } finally {
      await broken.stop();
    }
  });
});

describe("a hostile text is shown as text", () => {
  const SCRIPT = `<script>alert("1")</script>'"&<img src=x onerror=alert(1)>`;
  const TEXTS = [SCRIPT, "a".repeat(900), "\u202eevil\u2066", "{{ 7*7 }} {% raw %}"];

  test("in a description, a header, a response and an event's data", async (t) => {
    const hostile = await setUpWebhook(t, relay, answerWith(500, { "x-evil": "<b>evil</b>" }, SCRIPT), {
      workspace: scene.workspace,
      description: TEXTS.join("\n").slice(0, 1_000),
      headers: { "X-Team": "<b>team</b>" },
    });
    const deliveries = answered(
      await relay.fetch(`/v1/workspaces/${scene.workspace}/events`, {
        method: "POST",
        body: alert({ data: { text: SCRIPT } }),
      }),
      202,
    ).deliveries;
    const entry = deliveries.find((one) => one.webhook_id === hostile.webhook.id);
    await awaitSettled(relay, scene.workspace, entry);
    const webhook = `${HOME}/${hostile.webhook.id}`;
    const query = `id=${encodeURIComponent(SCRIPT)}&type=${encodeURIComponent(SCRIPT)}&since=${encodeURIComponent(SCRIPT)}`;
    for (const path of [
      HOME,
      webhook,
      `${webhook}/deliveries/${entry.id}`,
      `${webhook}/delete`,
      `${webhook}?${query}`,
      `/settings/events?${query}`,
    ]) {
      const answer = await visitor.get(path);
      assert.ok([200, 422].includes(answer.status), `${path}: ${answer.status}`);
      assert.ok(!/<script(?![^>]*\ssrc=)|<img|<b>(evil|team)/i.test(answer.text), path);
    }
    const refused = await visitor.post(webhook, { url: SCRIPT, description: SCRIPT, headers: SCRIPT, events: SCRIPT });
    assert.ok(!/<script(?![^>]*\ssrc=)|<img/i.test(assertPage(refused, 422)));
  });
});
