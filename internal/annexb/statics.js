(function () {
	var exec = RegExp.prototype.exec, last = null;

	function method(name, f) {
		Object.defineProperty(RegExp.prototype, name, {value: f, writable: true, enumerable: false, configurable: true});
	}
	method("exec", {exec(text) {
		var match = exec.call(this, text);
		if (match) {
			last = {input: match.input, index: match.index, groups: [...match]}; // the script may change match
		}
		return match;
	}}.exec);
	method("test", {test(text) { return this.exec(text) !== null }}.test);

	function property(names, get) {
		names.forEach(function (name) {
			Object.defineProperty(RegExp, name, {get: function () { return last ? get(last) || "" : "" }, set: function () {}, configurable: true});
		});
	}
	for (let i = 1; i <= 9; i++) {
		property(["$" + i], function (match) { return match.groups[i] });
	}
	property(["input", "$_"], function (match) { return match.input });
	property(["lastMatch", "$&"], function (match) { return match.groups[0] });
	property(["lastParen", "$+"], function (match) { return match.groups.length > 1 ? match.groups[match.groups.length - 1] : "" });
	property(["leftContext", "$`"], function (match) { return match.input.slice(0, match.index) });
	property(["rightContext", "$'"], function (match) { return match.input.slice(match.index + match.groups[0].length) });
})()
