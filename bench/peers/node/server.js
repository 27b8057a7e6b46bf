// Serves the workloads W1 to W3 with node.
// usage: node server.js fresh|reuse SCRIPTS
// "fresh" runs the script in a vm context of its own for each request, "reuse"
// runs it in this one again and again. SCRIPTS is a folder with W1.js, W2.js,
// W3.js. It prints the address it listens at, and ends with its standard input.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const vm = require("node:vm");

const fresh = process.argv[2] === "fresh";
const scripts = {};
for (const name of ["W1", "W2", "W3"]) {
	const source = fs.readFileSync(path.join(process.argv[3], name + ".js"), "utf8");
	scripts["/" + name] = fresh ? new vm.Script(source, { filename: name + ".js" }) : new Function("Spark", source);
}

function makeSpark(data, result) {
	return {
		getData: () => data,
		setScriptData: (name, value) => { result.set(name, value); },
		getDigester: () => ({
			hmacSha256Hex: (key, text) => crypto.createHmac("sha256", key).update(text).digest("hex"),
		}),
	};
}

function answer(script, query, body, res) {
	const data = {};
	for (const [name, value] of new URLSearchParams(query)) {
		const old = data[name];
		data[name] = old === undefined ? value : Array.isArray(old) ? (old.push(value), old) : [old, value];
	}
	if (body !== undefined) data.REQUEST_BODY = body;
	const result = new Map();
	const Spark = makeSpark(data, result);
	if (fresh) script.runInContext(vm.createContext({ Spark }));
	else script(Spark);
	for (const [name, value] of Object.entries(result.get("RESPONSE_HEADERS") || {})) res.setHeader(name, value);
	result.delete("RESPONSE_HEADERS");
	const text = JSON.stringify(Object.fromEntries(result));
	res.writeHead(200, {
		"Content-Type": "application/json; charset=utf-8",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store",
		"Content-Length": Buffer.byteLength(text),
	});
	res.end(text);
}

const server = http.createServer((req, res) => {
	const [route, query] = req.url.split("?", 2);
	const script = scripts[route];
	if (!script) { res.writeHead(404); res.end(); return; }
	if (req.method !== "POST") { answer(script, query, undefined, res); return; }
	const chunks = [];
	req.on("data", (chunk) => chunks.push(chunk));
	req.on("end", () => answer(script, query, Buffer.concat(chunks).toString("utf8"), res));
});
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
