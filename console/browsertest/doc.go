// Package browsertest tests the console in a real browser. It is a module of its
// own because of its dependencies.
package browsertest
