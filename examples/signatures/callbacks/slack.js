// Slack signs a version, a time and the body with HMAC-SHA256.
// https://api.slack.com/authentication/verifying-requests-from-slack
const secret = "slack-signing-secret";
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
		const time = request.headers.get("x-slack-request-timestamp") || "";
		const [version, signature] = (request.headers.get("x-slack-signature") || "").split("=");
		const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
		const fresh = Math.abs(Date.now() / 1000 - Number(time)) <= tolerance;
		const signed = concat(`v0:${time}:`, body);
		if (version !== "v0" || !fresh || !await crypto.subtle.verify("HMAC", key, unhex(signature), signed)) {
			return new Response("bad signature", { status: 401 });
		}
		const command = new URLSearchParams(decoder.decode(body));
		return Response.json({ text: `${command.get("command")} ${command.get("text")}` });
	},
};
