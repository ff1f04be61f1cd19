// The classes that wrangler sees, and the panic guard.
//
// A panic aborts the whole Wasm instance, and a Rust promise that was pending in it never settles: without the guard
// an object's caller waits for ever and an alarm hangs for 15 minutes. The guard rejects each pending call on an abort,
// which worker-build's shim announces by setting `criticalError`; it makes a new instance at the next call.
import "./finalization.js";
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import RustWorker, {
  CatalogueObject as RustCatalogueObject,
  WebhookObject as RustWebhookObject,
  WorkspaceObject as RustWorkspaceObject,
} from "../build/index.js";

// Wasm queues a microtask each time a future resumes; the runtime's own function for that takes ten times as long.
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

// Answers that are already on their way through a few promises get through first.
async function rejectPending(rejects) {
  for (let turn = 0; turn < 50; turn++) await null;
  for (const reject of rejects) reject(new Error("the instance was aborted by a panic"));
}

// One promise instead of `Promise.race`, as this is on the path of every call.
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

// The shim exports a proxy, which makes further proxies at each call. It is needed only after a panic, to make the next
// instance; otherwise the class under it is called.
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

    // Never throws: the runtime gives up on an alarm after six errors.
    async alarm() {
      try {
        await guard(this.rust.alarm());
      } catch (error) {
        console.error("alarm aborted:", error.message);
        await this.ctx.storage.setAlarm(Date.now() + ALARM_AFTER_ABORT_MS);
      }
    }
  };

// What entrance.rs adds to every other answer.
function protection({ url }, { ALLOW_PRIVATE_ENDPOINTS }) {
  const isHttpsOnly = ALLOW_PRIVATE_ENDPOINTS !== "true" && url.startsWith("https:");
  return {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    ...(isHttpsOnly ? { "Strict-Transport-Security": "max-age=31536000" } : {}),
  };
}

const isPage = ({ url }) => /^\/(|(settings|sign-in|sign-out|assets|docs)(\/.*)?)$/.test(new URL(url).pathname);

function page(text, { status, headers }) {
  const guarded = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'",
  };
  return new Response(`<!doctype html>\n<html lang="en"><title>Error</title><p>${text}</p></html>`, {
    status,
    headers: { ...headers, ...guarded },
  });
}

const answer = RustWorker.prototype.fetch;
const sendHired = RustWorker.prototype.send_hired;

// Hired by a webhook's object (src/runtime/platform/hire.js) to make attempts. Nobody outside reaches it: a route, a custom domain
// and workers.dev lead to the default export only, and no binding names this one.
export class Sender extends WorkerEntrypoint {
  async fetch(request) {
    const hire = await request.text();
    const send = async () => {
      // The answer leaves first: what follows may crash the instance.
      await scheduler.wait(0);
      try {
        await guard(
          critical ? new RustWorker(this.ctx, this.env).send_hired(hire, this.env) : sendHired(hire, this.env),
        );
      } catch (error) {
        console.error("sender aborted:", error.message);
      }
    };
    this.ctx.waitUntil(send());
    return new Response(null, { status: 202 });
  }
}

export class WorkspaceObject extends guarded(RustWorkspaceObject) {}
export class WebhookObject extends guarded(RustWebhookObject) {
  /** Obeys commands of several posts (src/runtime/platform/shared_calls.js): the reply to each, or an error. */
  obeyAll(commands) {
    return guard(this.rust.obey_all(commands));
  }
}
export class CatalogueObject extends guarded(RustCatalogueObject) {}
export default {
  async fetch(request, env, context) {
    try {
      return await guard(
        critical ? new RustWorker(context, env).fetch(request) : answer.call({ env, ctx: context }, request),
      );
    } catch (error) {
      const id = crypto.randomUUID();
      console.error(`request ${id} aborted:`, error.message);
      const init = { status: 500, headers: { "X-Request-Id": id, ...protection(request, env) } };
      const message = "something went wrong in the relay; the log has the cause under this answer's X-Request-Id";
      if (isPage(request)) return page(`Something went wrong in the relay. The log has the cause under ${id}.`, init);
      return Response.json({ error: { code: "internal", message } }, init);
    }
  },
  scheduled(event, env, context) {
    return guard(new RustWorker(context, env).scheduled(event));
  },
};
