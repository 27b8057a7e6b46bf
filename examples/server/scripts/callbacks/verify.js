// The handshake by which Facebook and others make sure that a webhook is yours:
// they send a token you have given them and a challenge to repeat.
var data = Spark.getData();

if (data["hub.mode"] === "subscribe" && data["hub.verify_token"] === "open-sesame") {
  Spark.setScriptData("RESPONSE_RAW", data["hub.challenge"]);
} else {
  Spark.setScriptData("RESPONSE_STATUS", 400);
  Spark.setScriptError("hub.verify_token", "unknown");
}
