// The suite's own signature verifier, checked against the known vectors before it judges a sender.
import { createHmac } from "node:crypto";

const keyOf = (secret) => (secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : secret);

/** The lower-case hex signature of the body, keyed with the secret's text. */
export const bodyHex = (secret, body) => createHmac("sha256", secret).update(body).digest("hex");

/** One item of `webhook-signature`. */
export const standard = (secret, id, timestamp, body) =>
  `v1,${createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;

/** Whether `webhook-signature` has an item for this secret. */
export function hasStandard(secret, { headers, body }) {
  const expected = standard(secret, headers["webhook-id"], headers["webhook-timestamp"], body);
  return (headers["webhook-signature"] ?? "").split(" ").includes(expected);
}
