// class: web
// expect: 500
export default { fetch() { return new Response(new Uint8Array(1 << 25)) } };
