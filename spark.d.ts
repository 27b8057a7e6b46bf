// Declarations of what the library "callback" gives to scripts, for TypeScript
// and for editors. docs/scripts.md has the whole story and examples.
//
// A host that adds members declares them once more, which adds them here:
//
//	interface Spark { loadPlayer(id: string): SparkPlayer }

/** The request, the answer, and the way to the world outside. */
declare var Spark: Spark;

/** Runs modules/{shortCode}.js in the global scope, once more on each call. */
declare var require: (shortCode: string) => void;

/** Runs modules/{shortCode}.js in the global scope, unless it ran before in this run. */
declare var requireOnce: (shortCode: string) => void;
/** Requests by name, for the host's sendRequest: new SparkRequests.LogEventRequest(). */
declare var SparkRequests: { [name: string]: new () => SparkRequest };

/** A request: the script sets its properties, then sends it. */
interface SparkRequest {
	[name: string]: any;
	/** Sends it by Spark.sendRequest. */
	Send(): any;
	/** The same as Send. */
	Execute(): any;
	/** Sends it by Spark.sendRequestAs, as that player. */
	SendAs(playerId: string): any;
	/** The same as SendAs. */
	ExecuteAs(playerId: string): any;
}

// In JavaScript files TypeScript takes require for that of Node.js and looks for
// the module; so there is a module of every name.
declare module "*";

/**
 * What JSON.stringify turns into JSON: null, strings, numbers, booleans, arrays
 * and objects of them. TypeScript cannot tell that apart from other values.
 */
type SparkJson = any;

/** Names to values, as of a form or of headers. */
interface SparkPairs {
	[name: string]: string | number | boolean | null | (string | number | boolean | null)[];
}

/** A form: names to values, of which any but an array becomes one text. */
type SparkForm = { [name: string]: SparkJson | null | undefined };

/** The request's parameters: a string, or an array of strings for a repeated name. */
interface SparkData {
	[name: string]: any;
	/** The raw body of a POST that is not multipart/form-data. */
	REQUEST_BODY?: string;
	/** The request headers that the host shows, if it shows any, under lower-case names. */
	REQUEST_HEADERS?: { [name: string]: string | string[] };
}

interface Spark {
	/** The request's parameters, in one object for the whole run. */
	getData(): SparkData;
	/** GET, HEAD or POST, or another method that the host serves. */
	getRequestMethod(): string;
	/** The bytes of the request's body, after inflation. */
	getRequestBytes(): Uint8Array;
	/** The XML value of a text, or null if it is not XML. */
	parseXml(text: string): SparkXml | null;
	/** The same object as getData(). */
	data: SparkData;

	/** Sets a value of the answer; undefined removes it. RESPONSE_RAW, RESPONSE_HEADERS and RESPONSE_STATUS shape the answer itself. */
	setScriptData(name: "RESPONSE_STATUS", status: number | undefined): void;
	setScriptData(name: "RESPONSE_HEADERS", headers: SparkPairs | undefined): void;
	setScriptData(name: string, value: SparkJson): void;
	/** A fresh copy of a value of the answer, or null. */
	getScriptData(name: string): SparkJson | null;
	/** Removes a value of the answer. */
	removeScriptData(name: string): void;
	/** Removes all values of the answer. */
	removeAllScriptData(): void;

	/** Sets a value of the answer's "error"; undefined removes it. */
	setScriptError(name: string, value: SparkJson): void;
	/** A fresh copy of a script error, or null. */
	getScriptError(name: string): SparkJson | null;
	/** Removes a script error. */
	removeScriptError(name: string): void;
	/** Removes all script errors. */
	removeAllScriptErrors(): void;
	/** Whether there are script errors. */
	hasScriptErrors(): boolean;

	/** The log of the host. */
	getLog(): SparkLog;
	/** An outbound request, to be sent by its methods; timeoutMs is 5000 unless given. */
	getHttp(url: string, timeoutMs?: number): SparkHttp;
	/** Hashes and HMACs. */
	getDigester(): SparkDigest;
	/** Ends the run at once; what was set is answered. */
	exit(): never;
	/** The time until the run's deadline. */
	getRemainingMilliseconds(): number;
	/** The call stack, a frame a line. */
	currentStack(): string;

	/** The name of the credential in the URL; "server" for the game's own secret. */
	getCredentialType(): string;
	/** A string that is unique to this run. */
	getSessionId(): string;
	/** The caller's address. */
	getClientIp(): string;
	/** The player whom the URL names, or null. */
	getPlayer(): SparkPlayer | null;
	/** The same as getPlayer(). */
	player: SparkPlayer | null;
}

/** A player whom the URL of a call names. */
interface SparkPlayer {
	/** The player's id. */
	getPlayerId(): string;
	/** The same. */
	playerId: string;
}

/** An outbound request. Each method that sends it gives null if no answer came. */
interface SparkHttp {
	/** Sets user and password of Basic authentication. */
	setBasicAuth(user: string, password: string): SparkHttp;
	/** Sets headers; a Content-Type replaces the one that the body would have. */
	setHeaders(headers: SparkPairs): SparkHttp;
	/** Sends a GET. */
	get(): SparkHttpResponse | null;
	/** Sends a HEAD. */
	head(): SparkHttpResponse | null;
	/** Sends a DELETE. */
	delete(): SparkHttpResponse | null;
	/** Sends a POST with a form; a number or boolean becomes text, an array repeats the name, null is empty, an object is its JSON. */
	postForm(form: SparkForm | null): SparkHttpResponse | null;
	/** Sends a POST with JSON. */
	postJson(value: SparkJson): SparkHttpResponse | null;
	/** Sends a POST with plain text. */
	postString(text: string | number | boolean): SparkHttpResponse | null;
	/** Sends a POST with XML: markup, or a value of getResponseXml. */
	postXml(xml: string | SparkXml): SparkHttpResponse | null;
	/** Sends a PUT with a form; a number or boolean becomes text, an array repeats the name, null is empty, an object is its JSON. */
	putForm(form: SparkForm | null): SparkHttpResponse | null;
	/** Sends a PUT with JSON. */
	putJson(value: SparkJson): SparkHttpResponse | null;
	/** Sends a PUT with plain text. */
	putString(text: string | number | boolean): SparkHttpResponse | null;
	/** Sends a PUT with XML: markup, or a value of getResponseXml. */
	putXml(xml: string | SparkXml): SparkHttpResponse | null;
	/** Sends a PATCH with a form, as postForm does. */
	patchForm(form: SparkForm | null): SparkHttpResponse | null;
	/** Sends a PATCH with JSON. */
	patchJson(value: SparkJson): SparkHttpResponse | null;
	/** Sends a PATCH with plain text. */
	patchString(text: string | number | boolean): SparkHttpResponse | null;
	/** Sends a PATCH with XML: markup, or a value of getResponseXml. */
	patchXml(xml: string | SparkXml): SparkHttpResponse | null;
}

/** The answer to an outbound request, whatever its status. */
interface SparkHttpResponse {
	/** The status, such as 200. */
	getResponseCode(): number;
	/** The body as text. */
	getResponseString(): string;
	/** The body as JSON, or null if it is not JSON. */
	getResponseJson(): SparkJson | null;
	/** The body as XML, or null if it is not XML. */
	getResponseXml(): SparkXml | null;
	/** The headers under names as in "Content-Type", repeated values joined by ", ". */
	getHeaders(): { [name: string]: string };
	/** The values of the Set-Cookie headers. */
	getCookies(): string[];
}

/** An XML element: child elements by name (an array when repeated), attributes under "@name". */
interface SparkXml {
	[name: string]: any;
	/** The text of the element and of all in it. */
	toString(): string;
	/** The markup. */
	toXMLString(): string;
}

/** The log of the host. It takes anything: a string as it is, an Error with its stack, else JSON. */
interface SparkLog {
	/** Logs at the level DEBUG. */
	debug(...values: any[]): void;
	/** Logs at the level INFO. */
	info(...values: any[]): void;
	/** Logs at the level WARN. */
	warn(...values: any[]): void;
	/** Logs at the level ERROR. */
	error(...values: any[]): void;
	/** The lowest level that is logged. */
	getLevel(): SparkLogLevel;
	/** Sets the lowest level that is logged, for this run. */
	setLevel(level: SparkLogLevel): void;
}

type SparkLogLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** Hashes and HMACs of strings as UTF-8; hex is in lower case. */
/** A string, as UTF-8; a number or boolean, as text; or bytes. */
type SparkBytes = string | number | boolean | ArrayBuffer | ArrayBufferView;
interface SparkDigest {
	/** HMAC-MD5 as hex. */
	hmacMd5Hex(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-MD5 as Base64. */
	hmacMd5Base64(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-MD5 as hex, for a key in hex. */
	hmacMd5HexWithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-MD5 as Base64, for a key in Base64. */
	hmacMd5Base64WithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-MD5 as Base64, for a key in hex. */
	hmacMd5Base64WithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-MD5 as hex, for a key in Base64. */
	hmacMd5HexWithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-1 as hex. */
	hmacSha1Hex(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-1 as Base64. */
	hmacSha1Base64(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-1 as hex, for a key in hex. */
	hmacSha1HexWithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-1 as Base64, for a key in Base64. */
	hmacSha1Base64WithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-1 as Base64, for a key in hex. */
	hmacSha1Base64WithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-1 as hex, for a key in Base64. */
	hmacSha1HexWithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-256 as hex. */
	hmacSha256Hex(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-256 as Base64. */
	hmacSha256Base64(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-256 as hex, for a key in hex. */
	hmacSha256HexWithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-256 as Base64, for a key in Base64. */
	hmacSha256Base64WithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-256 as Base64, for a key in hex. */
	hmacSha256Base64WithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-256 as hex, for a key in Base64. */
	hmacSha256HexWithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-384 as hex. */
	hmacSha384Hex(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-384 as Base64. */
	hmacSha384Base64(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-384 as hex, for a key in hex. */
	hmacSha384HexWithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-384 as Base64, for a key in Base64. */
	hmacSha384Base64WithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-384 as Base64, for a key in hex. */
	hmacSha384Base64WithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-384 as hex, for a key in Base64. */
	hmacSha384HexWithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-512 as hex. */
	hmacSha512Hex(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-512 as Base64. */
	hmacSha512Base64(key: SparkBytes, data: SparkBytes): string;
	/** HMAC-SHA-512 as hex, for a key in hex. */
	hmacSha512HexWithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-512 as Base64, for a key in Base64. */
	hmacSha512Base64WithBase64Key(base64Key: string, data: SparkBytes): string;
	/** HMAC-SHA-512 as Base64, for a key in hex. */
	hmacSha512Base64WithHexKey(hexKey: string, data: SparkBytes): string;
	/** HMAC-SHA-512 as hex, for a key in Base64. */
	hmacSha512HexWithBase64Key(base64Key: string, data: SparkBytes): string;
	/** MD2 as hex. */
	md2Hex(data: SparkBytes): string;
	/** MD2 as Base64. */
	md2Base64(data: SparkBytes): string;
	/** MD5 as hex. */
	md5Hex(data: SparkBytes): string;
	/** MD5 as Base64. */
	md5Base64(data: SparkBytes): string;
	/** SHA-1 as hex. */
	sha1Hex(data: SparkBytes): string;
	/** SHA-1 as Base64. */
	sha1Base64(data: SparkBytes): string;
	/** SHA-256 as hex. */
	sha256Hex(data: SparkBytes): string;
	/** SHA-256 as Base64. */
	sha256Base64(data: SparkBytes): string;
	/** SHA-384 as hex. */
	sha384Hex(data: SparkBytes): string;
	/** SHA-384 as Base64. */
	sha384Base64(data: SparkBytes): string;
	/** SHA-512 as hex. */
	sha512Hex(data: SparkBytes): string;
	/** SHA-512 as Base64. */
	sha512Base64(data: SparkBytes): string;
}
