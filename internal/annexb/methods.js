(function () {
	var getDescriptor = Object.getOwnPropertyDescriptor, prototypeOf = Object.getPrototypeOf;

	function define(object, methods) {
		Object.getOwnPropertyNames(methods).forEach(function (name) {
			if (!(name in object)) {
				Object.defineProperty(object, name, {value: methods[name], writable: true, enumerable: false, configurable: true});
			}
		});
	}

	function refuseNothing(value, method) {
		if (value === undefined || value === null) {
			throw new TypeError(method + " is called on " + value);
		}
	}

	// markup makes a method that puts a string into an element.
	function markup(name, tag, attribute) {
		function element(text, value) {
			refuseNothing(text, "String.prototype." + name);
			text = `${text}`; // String would accept a symbol
			var start = "<" + tag;
			if (attribute) {
				start += " " + attribute + '="' + `${value}`.split('"').join("&quot;") + '"';
			}
			return start + ">" + text + "</" + tag + ">";
		}
		define(String.prototype, attribute
			? {[name](value) { return element(this, value) }}
			: {[name]() { return element(this) }});
	}
	markup("anchor", "a", "name");
	markup("big", "big");
	markup("blink", "blink");
	markup("bold", "b");
	markup("fixed", "tt");
	markup("fontcolor", "font", "color");
	markup("fontsize", "font", "size");
	markup("italics", "i");
	markup("link", "a", "href");
	markup("small", "small");
	markup("strike", "strike");
	markup("sub", "sub");
	markup("sup", "sup");

	// lookup finds a getter or setter of an object or of its prototypes.
	function lookup(object, name, kind) {
		refuseNothing(object, "the lookup of an accessor");
		for (object = Object(object); object; object = prototypeOf(object)) {
			var descriptor = getDescriptor(object, name);
			if (descriptor) {
				return descriptor[kind];
			}
		}
	}
	function accessor(object, name, kind, f) {
		refuseNothing(object, "the definition of an accessor");
		if (typeof f !== "function") {
			throw new TypeError(String(name) + ": not a function");
		}
		Object.defineProperty(Object(object), name, {[kind]: f, enumerable: true, configurable: true});
	}
	define(Object.prototype, {
		__defineGetter__(name, f) { accessor(this, name, "get", f) },
		__defineSetter__(name, f) { accessor(this, name, "set", f) },
		__lookupGetter__(name) { return lookup(this, name, "get") },
		__lookupSetter__(name) { return lookup(this, name, "set") }
	});

	define(Date.prototype, {toGMTString: Date.prototype.toUTCString});
})()
