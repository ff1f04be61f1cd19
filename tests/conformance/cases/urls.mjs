// Which endpoint URLs a sender must refuse.
import assert from "node:assert/strict";
import { load } from "./load.mjs";

export const urlCases = load("urls").urls.map(({ url, why }) => ({
  id: `urls/${why}: ${url}`,
  needs: ["refusesUrl"],
  async run({ sender }) {
    assert.ok(await sender.refusesUrl(url), "it was accepted");
  },
}));
