function (host) {
    // A player holds no data: each call reads or writes the store.
    function SparkPlayer(player) {
        this.getPlayerId = function () { return player.id; };
        this.getDisplayName = function () { return player.displayName; };
        this.getUserName = function () { return player.userName; };
        this.getScriptData = function (name) { return host.getScriptData(player.id, String(name)); };
        this.setScriptData = function (name, value) { host.setScriptData(player.id, String(name), value); };
        this.removeScriptData = function (name) { host.setScriptData(player.id, String(name), null); };
    }

    return function loadPlayer(id) {
        var player = host.load(String(id));
        return player && new SparkPlayer(player);
    };
}
