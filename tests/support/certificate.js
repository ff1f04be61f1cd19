// A TLS certificate for 127.0.0.1 that nobody has signed, made in each run, so that no private key lies in the repository.
import { generate } from "selfsigned";

export async function makeSelfSignedCertificate() {
  const made = await generate([{ name: "commonName", value: "127.0.0.1" }]);
  return { key: made.private, cert: made.cert };
}
