function (host) {
    // A cursor asks the host once, when it is first read, for all of its documents.
    function SparkMongoCursor(name, query, fields) {
        var cursor = this, choice = { fields: fields, sort: [], skip: 0, limit: 0 };
        var docs = null, next = 0, current = null;

        function read() {
            return docs = docs || fromHost(host.find(name, query, choice));
        }
        function unread() {
            if (docs) throw new Error("sort, skip and limit come before the cursor is read");
            return cursor;
        }
        function rest() {
            var all = [];
            while (cursor.hasNext()) all.push(cursor.next());
            return all;
        }
        this.sort = function (keys) { choice.sort = sortKeys(keys); return unread(); };
        this.skip = function (n) { choice.skip = Math.trunc(n); return unread(); };
        this.limit = function (n) { choice.limit = Math.trunc(n); return unread(); };
        this.count = function () { return host.count(name, query); };
        this.size = function () { return read().length; };
        this.hasNext = function () { return next < read().length; };
        this.next = function () {
            if (!this.hasNext()) throw new Error("the cursor has no next document");
            return current = docs[next++];
        };
        this.curr = function () { return current; };
        this.toArray = rest;
        this.forEach = function (f) { rest().forEach(function (doc) { f(doc); }); };
        // The JSON of a cursor, for example as script data, is the array of its documents.
        this.toJSON = function () { return read(); };
    }

    function sortKeys(keys) {
        return Object.keys(keys || {}).map(function (field) {
            var direction = Number(keys[field]);
            if (direction !== 1 && direction !== -1) throw new TypeError("sort: " + field + " must be 1 or -1");
            return { field: field, descending: direction < 0 };
        });
    }

    function SparkMongoCollection(name) {
        this.find = function (query, fields) {
            return new SparkMongoCursor(name, toQuery(query), fields);
        };
        this.findOne = function (query, fields, sort) {
            var docs = host.find(name, toQuery(query), { fields: fields, sort: sortKeys(sort), limit: 1 });
            return docs.length ? fromHost(docs[0]) : null;
        };
        this.count = function (query) { return host.count(name, toQuery(query)); };
        this.distinct = function (key, query) { return fromHost(host.distinct(name, key, toQuery(query))); };

        this.insert = function () {
            return host.insert(name, toHost([].concat.apply([], arguments)));
        };
        this.save = function (doc) {
            var id = host.save(name, toHost(doc));
            doc._id = fromHost(id); // as the original did
            return true;
        };
        this.update = function (query, update, upsert, multi) {
            if (upsert && typeof upsert === "object") return this.update(query, update, upsert.upsert, upsert.multi);
            return host.update(name, toQuery(query), toHost(update), !!upsert, !!multi);
        };
        this.updateMulti = function (query, update) { return this.update(query, update, false, true); };
        this.applyChanges = function (existing, changed) {
            return host.apply(name, toHost(existing), toHost(changed));
        };
        this.remove = function (query) { return host.remove(name, toQuery(query)); };
        this.drop = function () { host.drop(name); };

        function modify(query, options) {
            return fromHost(host.findAndModify(name, toQuery(query), options));
        }
        // Arguments: (query, update), (query, sort, update), or all seven.
        this.findAndModify = function (query, fields, sort, remove, update, returnNew, upsert) {
            if (arguments.length <= 2) return modify(query, { update: toHost(fields) });
            if (arguments.length === 3) return modify(query, { sort: sortKeys(fields), update: toHost(sort) });
            return modify(query, {
                fields: fields || null, sort: sortKeys(sort), remove: !!remove,
                update: toHost(update) || null, "new": !!returnNew, upsert: !!upsert
            });
        };
        this.findAndRemove = function (query) { return modify(query, { remove: true }); };

        // An index is stored but not used: a query without _id reads the whole
        // collection. A unique index is an error, because values would not be
        // kept unique.
        this.ensureIndex = function (keys, options) {
            options = typeof options === "string" ? { name: options } : options || {};
            if (options.unique) throw new Error("ensureIndex: unique is not supported");
            var fields = sortKeys(keys).map(function (key) { return key.field + "_" + (key.descending ? -1 : 1); });
            if (fields.length === 0) throw new TypeError("ensureIndex: there is no field in keys");
            host.ensureIndex(name, String(options.name || fields.join("_")), JSON.stringify(keys));
        };
        this.dropIndex = function (keys) { host.dropIndex(name, { key: JSON.stringify(keys) }); };
        this.dropIndexByName = function (index) { host.dropIndex(name, { _id: String(index) }); };
        this.getIndexInfo = function () {
            return [{ name: "_id_", key: { _id: 1 } }].concat(host.indexes(name).map(function (index) {
                return { name: index._id, key: JSON.parse(index.key) };
            }));
        };
        this.getLastError = function () { return { ok: 1, err: null }; }; // errors are thrown
        this.aggregate = function () { throw new Error("aggregate is not supported"); };
    }

    return function (name) {
        name = String(name);
        host.open(name); // so that a wrong name is an error now, not at the first use
        return new SparkMongoCollection(name);
    };
}
