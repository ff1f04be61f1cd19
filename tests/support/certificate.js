// A self-signed TLS certificate for 127.0.0.1, made in each run so that the repository holds no private key.
import { generate } from "selfsigned";

export async function makeSelfSignedCertificate() {
  const made = await generate([{ name: "commonName", value: "127.0.0.1" }]);
  return { key: made.private, cert: made.cert };
}
