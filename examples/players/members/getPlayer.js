function (host, Spark) {
    var id = host.id();
    var player = id === "" ? null : Spark.loadPlayer(id);

    return function getPlayer() { return player; };
}
