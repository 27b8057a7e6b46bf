// A game server reports points: /callback/DEMO/score/{secret}/{playerId}?points=3
var points = Number(Spark.getData().points);
if (Spark.player === null || !(points > 0)) {
    Spark.setScriptError("score", "INVALID");
    Spark.exit();
}

Spark.runtimeCollection("scores").update(
    { _id: Spark.player.getPlayerId() },
    { $inc: { points: points, games: 1 }, $set: { name: Spark.player.getDisplayName() } },
    true
);
