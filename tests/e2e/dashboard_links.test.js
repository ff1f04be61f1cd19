// Making dashboard links. Other files test the dashboard itself.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createWorkspace, startRelay } from "../support/relay.js";
import {
  ISO_MILLISECONDS,
  MALFORMED_OR_REFUSED,
  SCOPES,
  answered,
  assertRefused,
  createKey,
} from "../support/steps.js";
import { isStored } from "../support/storage.js";

const LONGEST_S = 604_800;

let relay;
before(async () => (relay = await startRelay()));
after(() => relay?.stop());

const create = (workspace, body, init) =>
  relay.fetch(`/v1/workspaces/${workspace}/dashboard-links`, { method: "POST", body, ...init });

function assertEndsIn(until, seconds) {
  const left = Date.parse(until) - Date.now();
  assert.ok(Math.abs(left - seconds * 1_000) < 30_000, `${until} is ${left} ms from now, not ${seconds} s`);
}

describe("a dashboard link", () => {
  test("leads to the relay's own sign-in page and is valid for an hour by default", async () => {
    const workspace = await createWorkspace(relay);
    const { url, expires_at: until, ...rest } = answered(await create(workspace, {}), 201);
    assert.deepEqual(rest, {});
    const { origin, pathname, searchParams } = new URL(url);
    assert.deepEqual(
      [origin, pathname, [...searchParams.keys()]],
      [new URL(relay.origin).origin, "/sign-in", ["link"]],
    );
    // 256 random bits after the workspace's id.
    assert.match(searchParams.get("link"), new RegExp(`^dl_${workspace.slice(3)}\\.[A-Za-z0-9_-]{43,64}$`));
    assert.match(until, ISO_MILLISECONDS);
    assertEndsIn(until, 3_600);
  });

  test("can be valid for one second up to seven days, and have chosen scopes", async () => {
    const workspace = await createWorkspace(relay);
    for (const seconds of [1, LONGEST_S])
      assertEndsIn(answered(await create(workspace, { expires_in: seconds }), 201).expires_at, seconds);
    for (const scopes of [["webhooks:read"], SCOPES]) answered(await create(workspace, { scopes }), 201);
  });

  test("is different each time, and is stored only as a hash", async () => {
    const workspace = await createWorkspace(relay);
    const links = [];
    for (let count = 0; count < 2; count++)
      links.push(new URL(answered(await create(workspace, {}), 201).url).searchParams.get("link"));
    assert.notEqual(links[0], links[1]);
    for (const text of links.flatMap((link) => [link, link.split(".").at(-1)])) {
      assert.ok(!isStored(relay, text), "the link is stored");
      assert.ok(!relay.logs.join("\n").includes(text), "the link is in the log");
    }
  });

  test("is not a bearer token", async () => {
    const workspace = await createWorkspace(relay);
    const link = new URL(answered(await create(workspace, {}), 201).url).searchParams.get("link");
    assertRefused(await relay.fetch(`/v1/workspaces/${workspace}/webhooks`, { token: link }), 401, {
      code: "unauthorized",
    });
  });
});

describe("a dashboard link is refused", () => {
  /** @type {import("../support/types.d.ts").Refusals} */
  const REFUSED = {
    "for no time": [{ expires_in: 0 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for a negative time": [{ expires_in: -1 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for more than seven days": [{ expires_in: LONGEST_S + 1 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for half a second": [{ expires_in: 0.5 }, MALFORMED_OR_REFUSED, "expires_in"],
    "for a time that is a string": [{ expires_in: "3600" }, MALFORMED_OR_REFUSED, "expires_in"],
    "with an unknown scope": [{ scopes: ["webhooks:delete"] }, MALFORMED_OR_REFUSED, "scopes"],
    "with a string as scopes": [{ scopes: "webhooks:read" }, MALFORMED_OR_REFUSED, "scopes"],
    "with an unknown member": [{ expires: 60 }, 400, "expires"],
  };
  for (const [what, [body, status, field]] of Object.entries(REFUSED)) {
    test(what, async () => {
      const error = assertRefused(await create(await createWorkspace(relay), body), status);
      assert.match(error.field ?? "(no field)", new RegExp(`^${field}`));
    });
  }

  test("to everyone but the operator", async () => {
    const workspace = await createWorkspace(relay);
    const { key } = await createKey(relay, workspace);
    assertRefused(await create(workspace, {}, { token: key }), 403, { code: "forbidden" });
    for (const token of [null, "wrong"])
      assertRefused(await create(workspace, {}, { token }), 401, { code: "unauthorized" });
  });

  test("in a workspace that does not exist", async () => {
    assertRefused(await create("ws_unknown", {}), 404, { code: "not_found" });
  });
});
