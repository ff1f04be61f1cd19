// What `npm run probe` measures of the platform, on the account of whoever runs it. Called by platform_probe.rs.
//
// In JavaScript, as it measures the runtime and nothing of the relay. Its requests go only to the relay's own address.

/** More than the platform lets wait for an answer at a time. */
const CONNECTIONS = 12;
const WAIT_MS = 1_000;
const TICK_MS = 250;
const TELL_EVERY = 10;
/** How many POSTs a sender makes at a time. */
const AT_A_TIME = 6;

/** In the object: what its Senders have told it. */
const measured = {};

/** In the object: hires Senders, or says or keeps what they have told. Returns JSON. */
export async function probeInObject(state, order) {
  const { step, hires, told } = JSON.parse(order);
  if (told) Object.assign(measured, told);
  else if (step === "hires") measured.hires = await hireMany(state, hires);
  else if (step !== "read") {
    delete measured[step];
    await hire(state, order);
  }
  return JSON.stringify(measured);
}

async function hireMany(state, count) {
  const began = Date.now();
  const idle = JSON.stringify({ step: "idle" });
  const hired = await Promise.allSettled(Array.from({ length: count }, () => hire(state, idle)));
  const taken = hired.filter(({ status }) => status === "fulfilled").length;
  return { wanted: count, taken, ms: Date.now() - began, error: firstError(hired) };
}

async function hire(state, order) {
  const init = { method: "POST", body: JSON.stringify({ probe: order }) };
  const { ok, status } = await state.exports.Sender.fetch("https://sender/", init);
  if (!ok) throw new Error(`the Sender answered ${status}`);
}

/** In a Sender, after its answer: measures, and tells the object. */
export async function probeInSender(env, order) {
  const { step, object, ...rest } = JSON.parse(order);
  const tell = (value) => {
    const told = JSON.stringify({ told: { [step]: value } });
    const webhooks = rest.jurisdiction ? env.WEBHOOKS.jurisdiction(rest.jurisdiction) : env.WEBHOOKS;
    return webhooks.getByName(object).obey(JSON.stringify({ probe_platform: told }));
  };
  const post = (wait) => {
    const init = { method: "POST", headers: { Authorization: rest.authorization } };
    return fetch(`${rest.origin}/probe/wait?ms=${wait}`, init).then(({ body }) => body?.cancel());
  };
  if (step === "lasts") await last(tell, rest.seconds * 1000);
  else if (step === "connections") await tell(await connect(post));
  else if (step === "posts") await postUntilRefused(tell, post, rest.posts);
}

async function last(tell, most) {
  const began = Date.now();
  for (;;) {
    const ms = Date.now() - began;
    await tell({ ms, ended: ms >= most });
    if (ms >= most) return;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
}

async function connect(post) {
  const began = Date.now();
  const took = Array.from({ length: CONNECTIONS }, async () => {
    await post(WAIT_MS);
    return Date.now() - began;
  });
  const ended = await Promise.allSettled(took);
  const times = ended.map((one) => (one.status === "fulfilled" ? one.value : Number.POSITIVE_INFINITY));
  // Those that had to wait for a connection took at least twice as long.
  const together = times.filter((time) => time < 1.8 * WAIT_MS).length;
  return { tried: CONNECTIONS, together, error: firstError(ended), ended: true };
}

async function postUntilRefused(tell, post, wanted) {
  let begun = 0;
  let made = 0;
  let error;
  const keepPosting = async () => {
    while (begun < wanted && error === undefined) {
      begun += 1;
      try {
        await post(0);
        made += 1;
      } catch (thrown) {
        error ??= `${thrown}`;
      }
      // Early and often: what ends the Sender ends its telling too.
      if (made % TELL_EVERY === 0) await tell({ wanted, made, error });
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, keepPosting));
  await tell({ wanted, made, error, ended: true });
}

function firstError(settled) {
  for (const one of settled) if (one.status === "rejected") return `${one.reason}`;
  return undefined;
}
