// Counts a player's visits: /callback/DEMO/visit/{secret}/{playerId}
var player = Spark.getPlayer();
if (player === null) {
    Spark.setScriptError("player", "UNKNOWN");
    Spark.exit();
}

// The increment is done by the store: two visits at once count as two.
var visits = Spark.runtimeCollection("visits");
var mine = { _id: player.getPlayerId() };
visits.update(mine, { $inc: { count: 1 } }, true);

Spark.setScriptData("hello", player.getDisplayName());
Spark.setScriptData("visits", visits.findOne(mine).count);
Spark.setScriptData("lastVisit", player.getScriptData("lastVisit"));
player.setScriptData("lastVisit", new Date());
