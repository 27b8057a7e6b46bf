// The workloads W1 to W3 as PocketBase hooks. A handler's function is run by
// one of a pool of runtimes, without the variables of this file.

routerAdd("GET", "/W1", (e) => {
	// PocketBase's own query object gives the first value of a name only.
	const query = {};
	for (const pair of e.request.url.rawQuery.split("&")) {
		const [name, value] = pair.split("=").map(decodeURIComponent);
		(query[name] = query[name] || []).push(value);
	}
	const one = (values) => values.length === 1 ? values[0] : values;
	const header = e.response.header();
	header.set("X-Game", "E300018ZDdAx");
	header.set("X-Content-Type-Options", "nosniff");
	header.set("Referrer-Policy", "no-referrer");
	header.set("Cache-Control", "no-store");
	return e.json(200, { attr1: one(query["attr1"]), attr2: one(query["attr2"]) });
});

routerAdd("POST", "/W2", (e) => {
	const body = JSON.parse(toString(e.request.body));
	const paid = body.items.filter((item) => item.paid);
	const header = e.response.header();
	header.set("X-Content-Type-Options", "nosniff");
	header.set("Referrer-Policy", "no-referrer");
	header.set("Cache-Control", "no-store");
	return e.json(200, {
		count: paid.length,
		names: paid.map((item) => item.name),
		total: paid.reduce((sum, item) => sum + item.cents * item.quantity, 0),
	});
});

routerAdd("POST", "/W3", (e) => {
	const header = e.response.header();
	header.set("X-Content-Type-Options", "nosniff");
	header.set("Referrer-Policy", "no-referrer");
	header.set("Cache-Control", "no-store");
	return e.json(200, { signature: $security.hs256(toString(e.request.body), "w3-signing-key") });
});
