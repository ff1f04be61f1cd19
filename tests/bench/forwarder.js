// The baseline *forwarder*: a Worker that signs, sends and stores nothing, the upper bound on this runtime.
//
// It answers only after the endpoint has, because it stores nothing with which it could retry.
import { makePayload, sendSigned } from "./signing.js";

const webhooks = new Map();

export default {
  async fetch(request, env) {
    const [, workspace, what] = new URL(request.url).pathname.split("/");
    if (what === "webhooks") {
      webhooks.set(workspace, await request.json());
      return Response.json({});
    }
    if (request.headers.get("authorization") !== `Bearer ${env.TOKEN}`) return new Response(null, { status: 401 });
    const posted = await request.json();
    const events = Array.isArray(posted) ? posted : [posted];
    const sends = events.flatMap((event) =>
      (webhooks.get(workspace) ?? []).map((webhook) => ({ webhook, payload: makePayload(event) })),
    );
    const deliveries = sends.map(({ payload }) => payload.id);
    await sendAll(sends);
    return Response.json({ deliveries }, { status: 202 });
  },
};

// Six at a time, the platform's limit of connections for a Worker.
async function sendAll(sends) {
  const work = async () => {
    for (let send = sends.shift(); send !== undefined; send = sends.shift())
      await sendSigned(send.webhook, send.payload, 1);
  };
  await Promise.all(Array.from({ length: Math.min(6, sends.length) }, work));
}
