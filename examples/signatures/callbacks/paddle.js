// Paddle signs a time and the body with HMAC-SHA256.
// https://developer.paddle.com/webhooks/signature-verification
const secret = "pdl_ntfset_secret";
const tolerance = 300; // seconds
const encoder = new TextEncoder(), decoder = new TextDecoder();
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (byte) => parseInt(byte, 16));

// concat joins a text and bytes.
function concat(text, bytes) {
	const before = encoder.encode(text);
	const all = new Uint8Array(before.length + bytes.length);
	all.set(before);
	all.set(bytes, before.length);
	return all;
}

export default {
	async fetch(request) {
		const body = await request.bytes();
		const fields = new URLSearchParams((request.headers.get("paddle-signature") || "").replaceAll(";", "&"));
		const time = fields.get("ts") || "";
		const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
		const fresh = Math.abs(Date.now() / 1000 - Number(time)) <= tolerance;
		if (!fresh || !await crypto.subtle.verify("HMAC", key, unhex(fields.get("h1") || ""), concat(time + ":", body))) {
			return new Response("bad signature", { status: 401 });
		}
		return Response.json({ received: JSON.parse(decoder.decode(body)).event_id });
	},
};
