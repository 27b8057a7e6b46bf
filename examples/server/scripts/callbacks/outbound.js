// Asks another server. Without an answer in time (no network, say) get returns
// null, and the log says why.
var url = "https://example.com/";
var answer = Spark.getHttp(url, 3000).get();

Spark.setScriptData("url", url);
Spark.setScriptData("reached", answer !== null);
if (answer) {
  Spark.setScriptData("status", answer.getResponseCode());
}
