// A web site pulls the leaderboard: /callback/DEMO/top/{secret}?count=10
var count = Math.min(Number(Spark.getData().count) || 10, 100);

var rows = [];
var cursor = Spark.runtimeCollection("scores").find({ points: { $gt: 0 } }).sort({ points: -1, _id: 1 }).limit(count);
while (cursor.hasNext()) {
    var score = cursor.next();
    rows.push({ rank: rows.length + 1, name: score.name, points: score.points });
}
Spark.setScriptData("top", rows);
