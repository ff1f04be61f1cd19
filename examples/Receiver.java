// An endpoint in Java (11 or later) that uses only the JDK.
//
//   WEBHOOK_SECRET=whsec_... PORT=8790 java Receiver.java
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class Receiver {
    private static final long TOLERANCE_S = 300;
    private static final String SECRET = System.getenv("WEBHOOK_SECRET");

    // In a database, together with what the event changes, so that both are kept or neither.
    private static final Set<String> SEEN = ConcurrentHashMap.newKeySet();

    private static final class Refused extends Exception {
        Refused(String reason) {
            super(reason);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] hmac(byte[] key, byte[]... parts) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        for (byte[] part : parts) mac.update(part);
        return mac.doFinal();
    }

    private static String hex(byte[] digest) {
        StringBuilder text = new StringBuilder();
        for (byte one : digest) text.append(String.format("%02x", one));
        return text.toString();
    }

    /** The header X-Secureagentics-Signature: proves who sent the body, not when. */
    static void verifyHex(String secret, byte[] body, String signature) throws Refused, GeneralSecurityException {
        String expected = hex(hmac(bytes(secret), body));
        // MessageDigest.isEqual compares in constant time; String.equals does not.
        if (!MessageDigest.isEqual(bytes(expected), bytes(signature))) throw new Refused("the signature does not match");
    }

    /** The headers of Standard Webhooks: prove also that the request was made a short time ago. */
    static String verifyStandard(String secret, byte[] body, Headers headers, long now)
            throws Refused, GeneralSecurityException {
        String id = header(headers, "webhook-id");
        String timestamp = header(headers, "webhook-timestamp");
        if (!timestamp.matches("\\d{1,18}") || Math.abs(now - Long.parseLong(timestamp)) > TOLERANCE_S) {
            throw new Refused("the timestamp is missing, too old or in the future");
        }
        byte[] key = secret.startsWith("whsec_")
                ? Base64.getDecoder().decode(secret.substring("whsec_".length()))
                : bytes(secret);
        byte[] digest = hmac(key, bytes(id + "." + timestamp + "."), body);
        byte[] expected = bytes("v1," + Base64.getEncoder().encodeToString(digest));
        // While a secret is being rotated there are two signatures: one that matches is enough.
        for (String given : header(headers, "webhook-signature").split(" ")) {
            if (MessageDigest.isEqual(expected, bytes(given))) return id;
        }
        throw new Refused("the signature does not match");
    }

    private static String header(Headers headers, String name) {
        String value = headers.getFirst(name);
        return value == null ? "" : value;
    }

    private static String receive(HttpExchange exchange, byte[] body) throws Refused, GeneralSecurityException {
        Headers headers = exchange.getRequestHeaders();
        if (exchange.getRequestURI().getPath().equals("/hex")) {
            verifyHex(SECRET, body, header(headers, "x-secureagentics-signature"));
            return "verified";
        }
        String id = verifyStandard(SECRET, body, headers, System.currentTimeMillis() / 1000);
        return SEEN.add(id) ? "verified" : "already seen";
    }

    private static void handle(HttpExchange exchange) throws IOException {
        // The bytes as they arrived: parsed and written again they would not be what was signed.
        byte[] body = exchange.getRequestBody().readAllBytes();
        int status = 200;
        String text;
        try {
            text = receive(exchange, body);
        } catch (Refused refused) {
            status = 400;
            text = refused.getMessage();
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
        exchange.sendResponseHeaders(status, bytes(text).length);
        exchange.getResponseBody().write(bytes(text));
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        String port = System.getenv().getOrDefault("PORT", "0");
        HttpServer server = HttpServer.create(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(port)), 0);
        server.createContext("/", Receiver::handle);
        server.start();
        System.out.println("listening on port " + server.getAddress().getPort());
    }
}
