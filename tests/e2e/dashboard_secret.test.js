// The forms of a webhook's secret: who sees it, how it is rotated, and how an overlap is ended.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startRelay } from "../support/relay.js";
import { answered, pathOf, setUpWebhook } from "../support/steps.js";
import { assertLeadsTo, assertPage, assertTells, signIn } from "../support/visitor.js";

const HOME = "/settings/webhooks";

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

/** A webhook, a visitor who may change it, and the path of its page. */
async function setUp(t, answer, settings) {
  const scene = await setUpWebhook(t, relay, answer, settings);
  const page = `${HOME}/${scene.webhook.id}`;
  return { ...scene, visitor: await signIn(relay, scene.workspace), page };
}

const read = async (scene, below) => answered(await relay.fetch(pathOf(scene, below)), 200);

/** The page that a redirect leads to. */
const follow = async (visitor, answer) => assertPage(await visitor.get(assertLeadsTo(answer, /^\/settings/)));

describe("a secret", () => {
  test("is shown on request, and nowhere else", async (t) => {
    const scene = await setUp(t, undefined, { secret: "my-own-secret" });
    assert.ok(assertPage(await scene.visitor.post(`${scene.page}/secret`)).includes("my-own-secret"));
    assertPage(await scene.visitor.get(`${scene.page}/secret`), 405);
    for (const path of [HOME, scene.page, `${scene.page}?secret=shown`, `${scene.page}/delete`]) {
      assert.ok(!assertPage(await scene.visitor.get(path)).includes("my-own-secret"), path);
    }
    const reader = await signIn(relay, scene.workspace, ["webhooks:read"]);
    assertPage(await reader.post(`${scene.page}/secret`), 403);
  });

  test("is rotated, with an overlap", async (t) => {
    const scene = await setUp(t, undefined, { secret: "my-own-secret" });
    const answer = await scene.visitor.post(`${scene.page}/rotate`, {
      secret: "my-next-secret",
      overlap_seconds: "3600",
    });
    assertLeadsTo(answer, `${scene.page}#secret`);
    assertTells(scene.visitor, "rotated");
    const html = assertPage(await scene.visitor.post(`${scene.page}/secret`));
    assert.ok(html.includes("my-next-secret") && !html.includes("my-own-secret"));
    const { secret, previous_expires_at: until } = await read(scene, "/secret");
    assert.equal(secret, "my-next-secret");
    assert.ok(Math.abs(Date.parse(until) - Date.now() - 3_600_000) < 60_000, until);
    await follow(scene.visitor, await scene.visitor.post(`${scene.page}/rotate`, { secret: "", overlap_seconds: "0" }));
    assert.match((await read(scene, "/secret")).secret, /^whsec_/);
  });

  test("is rotated so that the old one makes the header of one signature, until somebody ends it", async (t) => {
    const scene = await setUp(t, undefined, { secret: "my-own-secret" });
    const page = assertPage(await scene.visitor.get(scene.page));
    assert.match(page, /<option value="previous" selected>the old secret/);
    const fields = { secret: "my-next-secret", overlap_seconds: "3600", sign_header_with: "previous" };
    await follow(scene.visitor, await scene.visitor.post(`${scene.page}/rotate`, fields));
    assert.equal((await read(scene, "/secret")).sign_header_with, "previous");
    assert.match(assertPage(await scene.visitor.get(scene.page)), /is made with the previous secret/);

    assertLeadsTo(await scene.visitor.post(`${scene.page}/end-overlap`), `${scene.page}#secret`);
    assertTells(scene.visitor, "overlap-ended");
    const { previous_expires_at: until, sign_header_with: signer } = await read(scene, "/secret");
    assert.deepEqual([until, signer], [null, "current"]);
  });

  test("is not rotated to an invalid one", async (t) => {
    const scene = await setUp(t, undefined, { secret: "my-own-secret" });
    for (const fields of [
      { secret: "short", overlap_seconds: "0" },
      { secret: "", overlap_seconds: "604801" },
      { secret: "" },
      { overlap_seconds: "-1" },
      { secret: "", overlap_seconds: "3600", sign_header_with: "both" },
    ]) {
      assertPage(await scene.visitor.post(`${scene.page}/rotate`, fields), 422);
    }
    assert.equal((await read(scene, "/secret")).secret, "my-own-secret");
  });
});
