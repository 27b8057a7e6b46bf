// Package browsertest tests the console in a real browser. It is a module of its
// own, so that nobody else needs what drives the browser.
package browsertest
