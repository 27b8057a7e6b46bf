// The game's own callback: its URL has the server secret and no credential.
var player = Spark.getPlayer();

Spark.getLog().info({ credential: Spark.getCredentialType(), from: Spark.getClientIp() });
Spark.setScriptData("player", player ? player.getPlayerId() : null);
