// The classes that wrangler sees, and the panic guard.
//
// A panic aborts the whole Wasm instance, and a Rust promise that was pending in it never settles: without the guard
// an object's caller waits for ever and an alarm sleeps for 15 minutes. Each call is raced against the abort, which
// worker-build's shim announces by setting `criticalError`; it makes a new instance at the next call.
import "./finalization.js";
import { DurableObject } from "cloudflare:workers";
import RustWorker, {
  WebhookObject as RustWebhookObject,
  WorkspaceObject as RustWorkspaceObject,
} from "../build/index.js";

// Wasm asks for a microtask each time a future goes on; the runtime's own function for it takes ten times as long.
const resolved = Promise.resolve();
globalThis.queueMicrotask = (task) => void resolved.then(task);

const ALARM_AFTER_ABORT_MS = 5_000;
const pending = new Set();
const state = globalThis.__worker_init_state;
let critical = state.criticalError;
Object.defineProperty(state, "criticalError", {
  get: () => critical,
  set(value) {
    critical = value;
    if (value) rejectPending([...pending]);
  },
});

// What has been answered already is on its way through a few promises; it gets through first.
async function rejectPending(rejects) {
  for (let turn = 0; turn < 50; turn++) await null;
  for (const reject of rejects) reject(new Error("the instance was aborted by a panic"));
}

// One promise and no race: this is on the path of every call.
function guard(promise) {
  return new Promise((resolve, reject) => {
    pending.add(reject);
    promise.then(
      (value) => {
        pending.delete(reject);
        resolve(value);
      },
      (error) => {
        pending.delete(reject);
        if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
        reject(error);
      },
    );
  });
}

// The shim hands out a proxy, which makes proxies of its own at each call. Its class is needed after a panic alone, to
// make the next instance; what is called otherwise is the class under it.
const guarded = (RustObject) =>
  class extends DurableObject {
    get rust() {
      if (critical) new RustObject(this.ctx, this.env);
      if (this.madeBy !== state.instanceId) this.made = new RustObject.prototype.constructor(this.ctx, this.env);
      this.madeBy = state.instanceId;
      return this.made;
    }

    obey(command) {
      return guard(this.rust.obey(command));
    }

    // Always returns normally: the runtime gives an alarm up after six errors.
    async alarm() {
      try {
        await guard(this.rust.alarm());
      } catch (error) {
        console.error("alarm aborted:", error.message);
        await this.ctx.storage.setAlarm(Date.now() + ALARM_AFTER_ABORT_MS);
      }
    }
  };

const isPage = ({ url }) => /^\/(|(settings|sign-in|sign-out|assets|docs)(\/.*)?)$/.test(new URL(url).pathname);

function page(text, { status, headers }) {
  const guarded = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'",
    "Cache-Control": "no-store",
  };
  return new Response(`<!doctype html>\n<html lang="en"><title>Error</title><p>${text}</p></html>`, {
    status,
    headers: { ...headers, ...guarded },
  });
}

const answer = RustWorker.prototype.fetch;

export class WorkspaceObject extends guarded(RustWorkspaceObject) {}
export class WebhookObject extends guarded(RustWebhookObject) {}
export default {
  async fetch(request, env, context) {
    try {
      return await guard(
        critical ? new RustWorker(context, env).fetch(request) : answer.call({ env, ctx: context }, request),
      );
    } catch (error) {
      const id = crypto.randomUUID();
      console.error(`request ${id} aborted:`, error.message);
      const init = { status: 500, headers: { "X-Request-Id": id } };
      const message = "something went wrong in the relay; the log has the cause under this answer's X-Request-Id";
      if (isPage(request)) return page(`Something went wrong in the relay. The log has the cause under ${id}.`, init);
      return Response.json({ error: { code: "internal", message } }, init);
    }
  },
};
