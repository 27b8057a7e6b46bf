function (host) {
    // A player object holds only the names. All other data is read from the store and
    // written to it by each call.
    function SparkPlayer(id, names) {
        var player = this;

        this.getPlayerId = function () { return id; };
        this.getDisplayName = function () { return names.displayName; };
        this.getUserName = function () { return names.userName; };
        this.getCreationDate = function () { return fromHost(names.creationDate); };
        ["playerId", "displayName", "userName"].forEach(function (bean) {
            var getter = player["get" + bean[0].toUpperCase() + bean.slice(1)];
            Object.defineProperty(player, bean, { get: getter, enumerable: true });
        });
        this.persist = function () {}; // a change is stored when its call returns
        this.matchesMongoQuery = function (query) { return host.matches(id, toQuery(query)); };
        this.matchesMongoQueryString = function (query) { return host.matches(id, JSON.parse(query)); };

        // Values by name.
        function get(field) {
            return function (name) { return fromHost(host.get(id, field, String(name))); };
        }
        function set(field) {
            return function (name, value) { host.set(id, field, String(name), toHost(value)); };
        }
        function remove(field) {
            return function (name) { host.set(id, field, String(name), null); };
        }
        this.getScriptData = get("scriptData");
        this.setScriptData = set("scriptData");
        this.removeScriptData = remove("scriptData");
        this.getPrivateData = get("privateData");
        this.setPrivateData = set("privateData");
        this.removePrivateData = remove("privateData");
        this.getSegmentValue = get("segments");
        this.setSegmentValue = set("segments");
        this.getSegments = function () { return host.all(id, "segments"); };

        this.addAchievement = function (code) { return host.set(id, "achievements", String(code), true); };
        this.removeAchievement = function (code) { return host.set(id, "achievements", String(code), null); };
        this.hasAchievement = function (code) { return host.get(id, "achievements", String(code)) === true; };
        this.getAchievements = function () { return Object.keys(host.all(id, "achievements")); };

        // Amounts. Text is converted to a number, because parameters of a callback
        // are text. A fraction is cut off, as in the original.
        function quantity(value) {
            var n = Math.trunc(Number(value));
            if (!(n >= 0)) throw new TypeError("quantity must be a number, 0 or more");
            return n;
        }
        function add(field, code, value) { return host.add(id, field, String(code), quantity(value)); }
        function take(field, code, value) { return host.add(id, field, String(code), -quantity(value)); }

        this.getBalance = function (code) { return host.balance(id, "currencies", String(code)); };
        this.getAllBalances = function () { return host.balances(id, "currencies"); };
        this.credit = function (code, value) { add("currencies", code, value); };
        this.debit = function (code, value) { return take("currencies", code, value); };
        [1, 2, 3, 4, 5, 6].forEach(function (n) {
            player["getBalance" + n] = function () { return player.getBalance("currency" + n); };
            player["credit" + n] = function (value) { player.credit("currency" + n, value); };
            player["debit" + n] = function (value) { return player.debit("currency" + n, value); };
        });
        this.addVGood = function (code, value) { return add("virtualGoods", code, value); };
        this.useVGood = function (code, value) { return take("virtualGoods", code, value); };
        this.hasVGood = function (code) { return host.balance(id, "virtualGoods", String(code)); };
        this.getVirtualGoods = function () { return host.balances(id, "virtualGoods"); };

        // The original's other members of a player. A call throws an error that
        // names the missing member.
        ["deletePlayer", "disconnect", "dismissMessage", "getExperimentSegments", "getExternalIds", "getFriendIds",
            "getLastSeen", "getPushRegistrations", "hideOnLeaderboards", "isHiddenOnLeaderboards", "isOnline",
            "removeExperiment", "removePushRegistration", "resetAuthTokens", "setExperimentSegment", "setPassword",
            "showOnLeaderboards", "unlock", "validatePassword"
        ].forEach(function (name) {
            player[name] = function () { throw new Error("SparkPlayer." + name + " is not supplied by this host"); };
        });
    }

    return function loadPlayer(id) {
        id = String(id && id.$oid || id); // also accepts the _id that a collection returns
        var names = host.load(id);
        return names && new SparkPlayer(id, names);
    };
}
