// A status and headers of the script's own.
Spark.setScriptData("RESPONSE_STATUS", 202);
Spark.setScriptData("RESPONSE_HEADERS", {
  "Content-Type": "application/vnd.example+json",
  "X-Session": Spark.getSessionId(),
});
Spark.setScriptData("accepted", true);
