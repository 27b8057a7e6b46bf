// Discord signs a time and the body with Ed25519.
// https://discord.com/developers/docs/interactions/overview
const applicationKey = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const encoder = new TextEncoder();
const unhex = (text) => Uint8Array.from(text.match(/../g) || [], (byte) => parseInt(byte, 16));

export default {
	async fetch(request) {
		const body = await request.text();
		const key = await crypto.subtle.importKey("raw", unhex(applicationKey), "Ed25519", false, ["verify"]);
		const signature = unhex(request.headers.get("x-signature-ed25519") || "");
		const signed = encoder.encode((request.headers.get("x-signature-timestamp") || "") + body);
		if (!await crypto.subtle.verify("Ed25519", key, signature, signed)) {
			return new Response("bad signature", { status: 401 });
		}
		const interaction = JSON.parse(body);
		if (interaction.type === 1) return Response.json({ type: 1 }); // a ping
		return Response.json({ type: 4, data: { content: "Hello" } });
	},
};
