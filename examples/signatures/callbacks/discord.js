// Discord signs a time and the body with Ed25519.
// https://discord.com/developers/docs/interactions/overview
const applicationKey = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
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
		const key = await crypto.subtle.importKey("raw", unhex(applicationKey), "Ed25519", false, ["verify"]);
		const signature = unhex(request.headers.get("x-signature-ed25519") || "");
		const signed = concat(request.headers.get("x-signature-timestamp") || "", body);
		if (!await crypto.subtle.verify("Ed25519", key, signature, signed)) {
			return new Response("bad signature", { status: 401 });
		}
		const interaction = JSON.parse(decoder.decode(body));
		if (interaction.type === 1) return Response.json({ type: 1 }); // a ping
		return Response.json({ type: 4, data: { content: "Hello" } });
	},
};
