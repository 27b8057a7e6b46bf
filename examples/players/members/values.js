// JSON has no dates. On the way to the host a Date becomes {$date: milliseconds}, and
// on the way back {$date: milliseconds} becomes a Date.
function toHost(value, depth) {
    depth = depth || 0;
    if (depth > 100) throw new TypeError("a value is nested too deeply, or is inside itself");
    if (value === null || typeof value !== "object") return value;
    if (value instanceof Date) return isNaN(value) ? null : { $date: value.getTime() };
    if (value instanceof RegExp) {
        return { $regex: value.source, $options: (value.ignoreCase ? "i" : "") + (value.multiline ? "m" : "") };
    }
    if (value instanceof String || value instanceof Number || value instanceof Boolean) return value.valueOf();
    if (typeof value.toJSON === "function") return toHost(value.toJSON(), depth + 1);
    if (Array.isArray(value)) return value.map(function (item) { return toHost(item, depth + 1); });
    var copy = Object.create(null);
    Object.keys(value).forEach(function (key) { copy[key] = toHost(value[key], depth + 1); });
    return copy;
}

function fromHost(value) {
    if (value === null || typeof value !== "object") return value;
    if (typeof value.$date === "number" && Object.keys(value).length === 1) return new Date(value.$date);
    Object.keys(value).forEach(function (key) {
        if (typeof value[key] === "object") value[key] = fromHost(value[key]);
    });
    return value;
}

// JSON drops what is undefined: remove({owner: undefined}) would arrive as
// remove({}) and empty the collection.
function toQuery(query) {
    query = toHost(query);
    checkDefined(query);
    return query;
}

function checkDefined(query) {
    if (query === null || typeof query !== "object") return;
    Object.keys(query).forEach(function (key) {
        if (query[key] === undefined) throw new TypeError("query: " + key + " is undefined");
        checkDefined(query[key]);
    });
}
