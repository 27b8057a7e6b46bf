// Declarations of the members that callbackd adds to Spark, beside those of
// spark.d.ts.

interface Spark {
	/** The variables of the credential and of its API key. */
	getProperties(): SparkProperties;
	/** With -queue or -database: runs of modules later. */
	getScheduler(): SparkScheduler;
	/**
	 * With -database: claims a key of the API key for so many seconds, and says
	 * whether that was free. It is true again on each attempt of a deferred run.
	 */
	claim(key: string, seconds: number): boolean;
	/**
	 * With -database: waits until no other run of the API key has the key, for
	 * so many milliseconds or as long as the run may last, and says whether the
	 * run has it. What a run has at its end is unlocked.
	 */
	lockKey(key: string, milliseconds?: number): boolean;
	/** With -database: undoes one lockKey, and says whether there was one. */
	unlockKey(key: string): boolean;
	/** With -database: undoes all lockKeys of the key, and says whether there were any. */
	unlockKeyFully(key: string): boolean;
}

/** Variables: any JSON, by name. */
interface SparkProperties {
	/** A variable, or null. */
	getProperty(name: string): SparkJson | null;
	/** With -database: the variables of a property set by name, or null. */
	getPropertySet(name: string): { [name: string]: SparkJson } | null;
}

/** Runs of modules later, each as a run of its own. */
interface SparkScheduler {
	/** Runs modules/{module}.js after so many seconds, with data as its getData(). */
	inSeconds(module: string, seconds: number, data?: SparkJson, key?: string): boolean;
	/** Cancels what waits under a key, and says whether there was anything. */
	cancel(key: string): boolean;
}
