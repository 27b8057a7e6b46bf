// A module runs in the global scope, so its functions are visible to the script that
// requires it.
function greeting(name) {
  return "Hello, " + (name || "world") + "!";
}
