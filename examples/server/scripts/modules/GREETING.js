// Modules run in the global scope: what they declare, their requirer sees.
function greeting(name) {
  return "Hello, " + (name || "world") + "!";
}
