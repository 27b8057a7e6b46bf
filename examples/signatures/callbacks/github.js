// GitHub signs the body with HMAC-SHA256, in hex.
// https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
const secret = "github-secret";
const encoder = new TextEncoder();
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (byte) => parseInt(byte, 16));

export default {
	async fetch(request) {
		const body = await request.arrayBuffer();
		const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
		const [scheme, signature] = (request.headers.get("x-hub-signature-256") || "").split("=");
		if (scheme !== "sha256" || !await crypto.subtle.verify("HMAC", key, unhex(signature), body)) {
			return new Response("bad signature", { status: 401 });
		}
		const event = JSON.parse(new TextDecoder().decode(body));
		return Response.json({ event: request.headers.get("x-github-event"), action: event.action });
	},
};
