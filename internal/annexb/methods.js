(function () {
	var getDescriptor = Object.getOwnPropertyDescriptor, prototypeOf = Object.getPrototypeOf;

	function define(object, methods) {
		Object.getOwnPropertyNames(methods).forEach(function (name) {
			if (!(name in object)) {
				Object.defineProperty(object, name, {value: methods[name], writable: true, enumerable: false, configurable: true});
			}
		});
	}

	// markup makes a method that puts a string into an element.
	function markup(name, tag, attribute) {
		function element(text, value) {
			if (text === undefined || text === null) {
				throw new TypeError("String.prototype." + name + " is called on " + text);
			}
			text = String(text);
			var start = "<" + tag;
			if (attribute) {
				start += " " + attribute + '="' + String(value).split('"').join("&quot;") + '"';
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
		for (object = Object(object); object; object = prototypeOf(object)) {
			var descriptor = getDescriptor(object, name);
			if (descriptor) {
				return descriptor[kind];
			}
		}
	}
	function accessor(object, name, kind, f) {
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
