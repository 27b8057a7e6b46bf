// Twilio signs the URL and the sorted fields of the form with HMAC-SHA1, in Base64.
// A script does not see its URL: write it here as Twilio has it.
// https://www.twilio.com/docs/usage/security
const token = "twilio-token";
const address = "https://example.com/callback/E3/twilio/s3cret";
const encoder = new TextEncoder();

export default {
	async fetch(request) {
		const form = new URLSearchParams(await request.text());
		form.sort();
		let signed = address;
		for (const [name, value] of form) signed += name + value;
		const key = await crypto.subtle.importKey("raw", encoder.encode(token), { name: "HMAC", hash: "SHA-1" }, false, ["verify"]);
		let signature = new Uint8Array();
		try {
			signature = Uint8Array.from(atob(request.headers.get("x-twilio-signature") || ""), (c) => c.charCodeAt(0));
		} catch (e) { } // not Base64: the signature is wrong
		if (!await crypto.subtle.verify("HMAC", key, signature, encoder.encode(signed))) {
			return new Response("bad signature", { status: 403 });
		}
		return new Response("<Response><Message>Hello " + form.get("From") + "</Message></Response>", { headers: { "Content-Type": "text/xml" } });
	},
};
