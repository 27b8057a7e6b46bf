function (host) {
    // JSON drops what is undefined: remove({owner: undefined}) would arrive as
    // remove({}) and empty the collection.
    function defined(query) {
        if (query && typeof query === "object") {
            Object.keys(query).forEach(function (key) {
                if (query[key] === undefined) {
                    throw new TypeError("query: " + key + " is undefined");
                }
                defined(query[key]);
            });
        }
        return query;
    }

    // A cursor asks the host when it is first read, for all it will return.
    function SparkMongoCursor(name, query) {
        var cursor = this, sort = [], skip = 0, limit = 0, docs = null, next = 0;

        function read() {
            return docs = docs || host.find(name, query, sort, skip, limit);
        }
        function unread() {
            if (docs) throw new Error("sort, skip and limit come before the cursor is read");
            return cursor;
        }
        this.sort = function (keys) {
            sort = Object.keys(keys).map(function (key) { return [key, keys[key]]; });
            return unread();
        };
        this.skip = function (n) { skip = n; return unread(); };
        this.limit = function (n) { limit = n; return unread(); };
        this.count = function () { return host.count(name, query); };
        this.size = function () { return read().length; };
        this.hasNext = function () { return next < read().length; };
        this.next = function () {
            if (!this.hasNext()) throw new Error("the cursor has no next document");
            return docs[next++];
        };
        this.curr = function () { return next ? docs[next - 1] : null; };
        this.toArray = function () {
            var rest = read().slice(next);
            next = docs.length;
            return rest;
        };
    }

    function noFields(fields) {
        if (fields) throw new Error("a choice of fields is not supported");
    }

    function SparkMongoCollection(name) {
        this.find = function (query, fields) {
            noFields(fields);
            return new SparkMongoCursor(name, defined(query));
        };
        this.findOne = function (query, fields) {
            noFields(fields);
            return host.find(name, defined(query), [], 0, 1)[0] || null;
        };
        this.count = function (query) { return host.count(name, defined(query)); };
        this.insert = function (docs) { return host.insert(name, [].concat(docs)); };
        this.save = function (doc) {
            var id = host.save(name, doc);
            doc._id = id; // as the original did
            return true;
        };
        this.update = function (query, update, upsert, multi) {
            return host.update(name, defined(query), update, !!upsert, !!multi);
        };
        this.remove = function (query) { return host.remove(name, defined(query)); };
    }

    return function (name) {
        host.open(name); // a wrong name is an error here and not at the first use
        return new SparkMongoCollection(name);
    };
}
