// A payment notice: a JSON body with the headers X-Timestamp (Unix seconds) and
// X-Signature (the HMAC-SHA256 of timestamp + "." + body, in hex).
var TOLERANCE_SECONDS = 300;
var PAYMENTS = "https://api.payments.example/v1/payments/";

var data = Spark.getData();

if ("REQUEST_BODY" in data) {
  receive();
} else {
  handshake();
}

function receive() {
  // The signature is checked first, before anything in the body is used.
  var timestamp = String(data.REQUEST_HEADERS["x-timestamp"]);
  if (!isSigned(timestamp + ".")) {
    refuse(401, "bad signature");
  }
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) {
    refuse(401, "too old");
  }
  var event = JSON.parse(data.REQUEST_BODY);

  // The notice only says that something happened. The provider knows what.
  var answer = Spark.getHttp(PAYMENTS + encodeURIComponent(event.payment), 3000)
    .setHeaders({ Authorization: "Bearer " + Spark.getProviderToken() })
    .get();
  var payment = answer && answer.getResponseCode() === 200 && answer.getResponseJson();
  if (!payment) {
    refuse(503, "provider not reached"); // the provider delivers the notice again
  }
  if (payment.status !== "settled") {
    refuse(422, "payment is not settled");
  }

  // This is the last step, so that a notice that has failed above can be sent again.
  // The key is the payment's id in the provider's answer: two notices of one payment
  // have different ids, and may write the payment's id in different ways.
  var fresh = Spark.creditOnce(payment.id, payment.player, payment.cents);
  Spark.setScriptData("credited", fresh ? payment.cents : 0);
}

// isSigned reports whether the provider has signed the text with the bytes of the body
// after it, whatever their charset is. It compares the digests of two digests, so that
// the time of the comparison says nothing about the expected one.
function isSigned(text) {
  var before = new TextEncoder().encode(text), body = Spark.getRequestBytes();
  var signed = new Uint8Array(before.length + body.length);
  signed.set(before);
  signed.set(body, before.length);
  var digester = Spark.getDigester();
  var key = Spark.getSigningKey();
  var expected = digester.hmacSha256Hex(key, signed);
  var given = String(data.REQUEST_HEADERS["x-signature"]);
  return digester.hmacSha256Hex(key, expected) === digester.hmacSha256Hex(key, given);
}

// handshake answers the request by which the provider checks that the URL is ours.
function handshake() {
  if (data["hub.mode"] !== "subscribe" || data["hub.verify_token"] !== Spark.getVerifyToken()) {
    refuse(401, "bad verify token");
  }
  Spark.setScriptData("RESPONSE_RAW", data["hub.challenge"]);
}

function refuse(status, reason) {
  Spark.getLog().warn(reason);
  Spark.setScriptData("RESPONSE_STATUS", status);
  Spark.setScriptData("error", reason);
  Spark.exit();
}
