// A self-signed TLS certificate, made in each run so that the repository holds no private key.
import { generate } from "selfsigned";

export async function makeSelfSignedCertificate(name = "127.0.0.1") {
  const made = await generate([{ name: "commonName", value: name }]);
  return { key: made.private, cert: made.cert };
}
