// class: web
// expect: 200
export default { fetch() { const h = new Headers(); for (let i = 0; i < 9000; i++) h.append("x-" + i, "y".repeat(100)); return new Response("", { headers: h }) } };
