// Package bench holds the benchmarks of package callback: see README.md for
// the commands.
package bench
