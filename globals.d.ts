// Declarations of the standard globals that the library "callback" gives to
// scripts, for TypeScript and for editors. docs/globals.md says what there is of
// each and what is left out. spark.d.ts declares the rest. TypeScript's own
// declarations of browsers ("dom") promise much that is not there: leave them out
// of "lib" in tsconfig.json.

/** The global object. */
declare var self: typeof globalThis;

/** What a script exports by default instead of using Spark: a handler. */
interface CallbackHandler {
	/** Answers a request; env is Spark. */
	fetch(request: Request, env: Spark): Response | Promise<Response>;
}

/** Bytes: what reads them takes any of these. */
type BufferSource = ArrayBuffer | ArrayBufferView;

interface Console {
	/** Logs at the level DEBUG. */
	debug(...data: any[]): void;
	/** Logs at the level INFO. */
	log(...data: any[]): void;
	/** Logs at the level INFO. */
	info(...data: any[]): void;
	/** Logs at the level INFO. */
	dir(...data: any[]): void;
	/** Logs at the level INFO, as log does: there is no table. */
	table(...data: any[]): void;
	/** Logs at the level WARN. */
	warn(...data: any[]): void;
	/** Logs at the level ERROR. */
	error(...data: any[]): void;
	/** Logs the script's stack, at the level DEBUG. */
	trace(...data: any[]): void;
	/** Logs at the level ERROR unless the condition holds. */
	assert(condition?: any, ...data: any[]): void;
	/** Logs, and indents what follows. */
	group(...data: any[]): void;
	/** Logs, and indents what follows. */
	groupCollapsed(...data: any[]): void;
	/** Ends a group. */
	groupEnd(): void;
	/** Logs how often it has been called with the label. */
	count(label?: string): void;
	/** Begins a count anew. */
	countReset(label?: string): void;
	/** Starts a stopwatch. */
	time(label?: string): void;
	/** Logs the time of a stopwatch. */
	timeLog(label?: string, ...data: any[]): void;
	/** Logs the time of a stopwatch and ends it. */
	timeEnd(label?: string): void;
}
declare var console: Console;

/** Decodes Base64 to a string of which each character is a byte. */
declare function atob(data: string): string;

/** Encodes a string of which each character is a byte as Base64. */
declare function btoa(data: string): string;

/** Copies a value, with all that it holds. */
declare function structuredClone<T>(value: T, options?: { transfer?: never[] }): T;

/** Calls a function once the script has run as far as it can for now. */
declare function queueMicrotask(callback: () => void): void;

/** Calls a function after a time in milliseconds. The run ends no sooner. */
declare function setTimeout<A extends any[]>(callback: (...args: A) => void, delay?: number, ...args: A): number;

/** Calls a function again and again, after a time in milliseconds each. The run ends no sooner than it is cleared. */
declare function setInterval<A extends any[]>(callback: (...args: A) => void, delay?: number, ...args: A): number;

/** Forgets a timer. */
declare function clearTimeout(id?: number): void;

/** Forgets a timer. */
declare function clearInterval(id?: number): void;

interface DOMException extends Error {
	/** Which kind of error it is. */
	readonly name: string;
	/** What has gone wrong. */
	readonly message: string;
	/** The number of the older names, or 0. */
	readonly code: number;
}
declare var DOMException: {
	prototype: DOMException;
	new (message?: string, name?: string): DOMException;
};

interface TextEncoder {
	/** Is utf-8. */
	readonly encoding: string;
	/** The text in UTF-8. */
	encode(input?: string): Uint8Array;
	/** Writes as much of the text as there is room for. */
	encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}
declare var TextEncoder: {
	prototype: TextEncoder;
	new (): TextEncoder;
};

interface TextDecoder {
	/** The name of the encoding. */
	readonly encoding: string;
	/** Whether malformed text is an error. */
	readonly fatal: boolean;
	/** Whether a byte order mark is a part of the text. */
	readonly ignoreBOM: boolean;
	/** The text; with stream, more of it follows. */
	decode(input?: BufferSource, options?: { stream?: boolean }): string;
}
declare var TextDecoder: {
	prototype: TextDecoder;
	new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
};

interface URL {
	/** The whole URL. */
	href: string;
	/** The scheme, host and port. */
	readonly origin: string;
	/** The scheme with its colon. */
	protocol: string;
	/** The user. */
	username: string;
	/** The password. */
	password: string;
	/** The host with its port. */
	host: string;
	/** The host without its port. */
	hostname: string;
	/** The port, empty if it is the scheme's own. */
	port: string;
	/** The path. */
	pathname: string;
	/** The query with its question mark. */
	search: string;
	/** The query's names and values. */
	readonly searchParams: URLSearchParams;
	/** The fragment with its number sign. */
	hash: string;
	/** The whole URL. */
	toString(): string;
	/** The whole URL. */
	toJSON(): string;
}
declare var URL: {
	prototype: URL;
	new (url: string | URL, base?: string | URL): URL;
	canParse(url: string | URL, base?: string | URL): boolean;
	parse(url: string | URL, base?: string | URL): URL | null;
};

interface URLSearchParams extends Iterable<[string, string]> {
	/** How many pairs there are. */
	readonly size: number;
	/** Adds a pair. */
	append(name: string, value: any): void;
	/** Removes the pairs of a name, or of a name with a value. */
	delete(name: string, value?: any): void;
	/** The first value of a name. */
	get(name: string): string | null;
	/** All values of a name. */
	getAll(name: string): string[];
	/** Whether there is a pair of a name, or of a name with a value. */
	has(name: string, value?: any): boolean;
	/** Makes a value the only one of a name. */
	set(name: string, value: any): void;
	/** Sorts the pairs by their names. */
	sort(): void;
	/** The query without a question mark. */
	toString(): string;
	/** The pairs. */
	entries(): IterableIterator<[string, string]>;
	/** The names. */
	keys(): IterableIterator<string>;
	/** The values. */
	values(): IterableIterator<string>;
	/** Calls a function with each pair. */
	forEach(callback: (value: string, name: string, params: URLSearchParams) => void, thisArg?: any): void;
}
declare var URLSearchParams: {
	prototype: URLSearchParams;
	new (init?: string | Iterable<Iterable<any>> | { [name: string]: any }): URLSearchParams;
};

/** The name of an algorithm, or an object that has it and what else the algorithm needs. */
type AlgorithmIdentifier = string | { name: string; [parameter: string]: any };

interface JsonWebKey {
	[member: string]: any;
}

interface CryptoKey {
	/** Is secret, public or private. */
	readonly type: "secret" | "public" | "private";
	/** As it was imported. */
	readonly extractable: boolean;
	/** What the key is for. */
	readonly algorithm: { name: string; [parameter: string]: any };
	/** What it may be used for. */
	readonly usages: string[];
}
declare var CryptoKey: {
	prototype: CryptoKey;
};

interface SubtleCrypto {
	/** A digest by SHA-1, SHA-256, SHA-384 or SHA-512. */
	digest(algorithm: AlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
	/** Makes a key for HMAC, Ed25519, RSASSA-PKCS1-v1_5, RSA-PSS or ECDSA. */
	importKey(format: "jwk", keyData: JsonWebKey, algorithm: AlgorithmIdentifier, extractable: boolean, keyUsages: ("sign" | "verify")[]): Promise<CryptoKey>;
	importKey(format: "raw" | "spki" | "pkcs8", keyData: BufferSource, algorithm: AlgorithmIdentifier, extractable: boolean, keyUsages: ("sign" | "verify")[]): Promise<CryptoKey>;
	/** Signs data. */
	sign(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
	/** Whether a signature is one of data. */
	verify(algorithm: AlgorithmIdentifier, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
}
declare var SubtleCrypto: {
	prototype: SubtleCrypto;
};

interface Crypto {
	/** Digests, keys and signatures. */
	readonly subtle: SubtleCrypto;
	/** Fills a typed array of integers with random values. */
	getRandomValues<T extends ArrayBufferView>(array: T): T;
	/** A random UUID. */
	randomUUID(): string;
	/** Whether bytes of the same length are equal, in a time that does not tell where they differ. */
	timingSafeEqual(a: BufferSource, b: BufferSource): boolean;
}
declare var Crypto: {
	prototype: Crypto;
};
declare var crypto: Crypto;

interface AbortSignal {
	/** Whether it has been aborted. */
	readonly aborted: boolean;
	/** Why. */
	readonly reason: any;
	/** Throws the reason if it has been aborted. */
	throwIfAborted(): void;
	/** Is called when it is aborted. */
	onabort: ((event: { type: "abort"; target: AbortSignal; currentTarget: AbortSignal }) => void) | null;
	/** Has a function called when it is aborted. */
	addEventListener(type: "abort", listener: (event: { type: "abort"; target: AbortSignal; currentTarget: AbortSignal }) => void, options?: any): void;
	/** Undoes addEventListener. */
	removeEventListener(type: "abort", listener: (event: any) => void, options?: any): void;
}
declare var AbortSignal: {
	prototype: AbortSignal;
	abort(reason?: any): AbortSignal;
	timeout(milliseconds: number): AbortSignal;
	any(signals: Iterable<AbortSignal>): AbortSignal;
};

interface AbortController {
	/** The signal that abort aborts. */
	readonly signal: AbortSignal;
	/** Aborts the signal. */
	abort(reason?: any): void;
}
declare var AbortController: {
	prototype: AbortController;
	new (): AbortController;
};

/** What headers can be made of. */
type HeadersInit = Headers | Iterable<Iterable<string>> | { [name: string]: string };

interface Headers extends Iterable<[string, string]> {
	/** Adds a value to a header. */
	append(name: string, value: string): void;
	/** Removes a header. */
	delete(name: string): void;
	/** The values of a header, joined by commas. */
	get(name: string): string | null;
	/** Each value of Set-Cookie. */
	getSetCookie(): string[];
	/** Whether there is a header. */
	has(name: string): boolean;
	/** Makes a value the only one of a header. */
	set(name: string, value: string): void;
	/** The names, in lower case, with their values. */
	entries(): IterableIterator<[string, string]>;
	/** The names, in lower case. */
	keys(): IterableIterator<string>;
	/** The values. */
	values(): IterableIterator<string>;
	/** Calls a function with each header. */
	forEach(callback: (value: string, name: string, headers: Headers) => void, thisArg?: any): void;
}
declare var Headers: {
	prototype: Headers;
	new (init?: HeadersInit): Headers;
};

/** What a body can be made of. */
type BodyInit = string | BufferSource | URLSearchParams;

interface Body {
	/** Whether the body has been read, which it can be once. */
	readonly bodyUsed: boolean;
	/** The bytes. */
	arrayBuffer(): Promise<ArrayBuffer>;
	/** The bytes. */
	bytes(): Promise<Uint8Array>;
	/** The text, of UTF-8. */
	text(): Promise<string>;
	/** The JSON value. */
	json(): Promise<any>;
}

interface RequestInit {
	method?: string;
	headers?: HeadersInit;
	body?: BodyInit | null;
	signal?: AbortSignal | null;
	redirect?: "follow";
}

interface Request extends Body {
	/** The method. */
	readonly method: string;
	/** The URL. */
	readonly url: string;
	/** The headers. */
	readonly headers: Headers;
	/** Is follow. */
	readonly redirect: "follow";
	/** What aborts the request. */
	readonly signal: AbortSignal;
	/** A copy, unless the body has been read. */
	clone(): Request;
}
declare var Request: {
	prototype: Request;
	new (input: string | URL | Request, init?: RequestInit): Request;
};

interface ResponseInit {
	status?: number;
	statusText?: string;
	headers?: HeadersInit;
}

interface Response extends Body {
	/** Is basic for an answer of fetch, default for one that the script makes, error for that of Response.error. */
	readonly type: "basic" | "default" | "error";
	/** The URL that was asked for. */
	readonly url: string;
	/** Is false: which redirects there were is not known. */
	readonly redirected: boolean;
	/** The status. */
	readonly status: number;
	/** Whether the status is from 200 to 299. */
	readonly ok: boolean;
	/** The status in words. */
	readonly statusText: string;
	/** The headers. */
	readonly headers: Headers;
	/** A copy, unless the body has been read. */
	clone(): Response;
}
declare var Response: {
	prototype: Response;
	new (body?: BodyInit | null, init?: ResponseInit): Response;
	error(): Response;
	redirect(url: string | URL, status?: number): Response;
	json(data: any, init?: ResponseInit): Response;
};

/** Sends a request, by the same client and within the same limits as Spark.getHttp. */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
