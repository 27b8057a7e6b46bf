package web_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// harness is the part of testharness.js that files of the web platform tests need. It
// stores the results of their tests as script data.
const harness = `
var results = [], waiting = [];
var location = { search: "", href: "https://wpt.example/", pathname: "/" };
var GLOBAL = { isWindow: function () { return false }, isWorker: function () { return true }, isShadowRealm: function () { return false } };
function format(v) { try { return typeof v === "string" ? JSON.stringify(v) : String(v) } catch (e) { return typeof v } }
function test(f, name) {
	try { f.call(object, object); results.push([name || "", null]) } catch (e) { results.push([name || "", String(e && e.message || e)]) }
}
function promise_test(f, name) {
	waiting.push(new Promise(function (done) { done(f.call(object, object)) }).then(
		function () { results.push([name || "", null]) },
		function (e) { results.push([name || "", String(e && e.message || e)]) }));
}
function async_test(f, name) {
	if (typeof f === "string") { name = f; f = null }
	var end, t = Object.create(object), ended = new Promise(function (done) { end = done });
	t.done = function () { end(null) };
	t.step = function (g) { try { return g.apply(t, [].slice.call(arguments, 2)) } catch (e) { end(String(e && e.message || e)) } };
	t.step_func = function (g) { return function () { var self = this, args = arguments; return t.step(function () { return g.apply(self, args) }) } };
	t.step_func_done = function (g) { return t.step_func(function () { if (g) g.apply(this, arguments); t.done() }) };
	t.unreached_func = function (m) { return t.step_func(function () { assert_unreached(m) }) };
	t.step_timeout = function (g, ms) { return setTimeout(t.step_func(g), ms) };
	waiting.push(ended.then(function (e) { results.push([name || "", e]) }));
	if (f) t.step(f, null, t);
	if (f) try { f.length; } catch (e) {}
	return t;
}
var object = { add_cleanup: function () {}, step_timeout: setTimeout, step_func: function (f) { return f }, unreached_func: function (m) { return function () { assert_unreached(m) } } };
var single = false;
function setup(f, o) { if (typeof f === "function") f(); else o = f; if (o && o.single_test) single = true } 
function done() { if (!single) return; results.push(["single test", null]); Spark.setScriptData("results", results); Spark.exit() }
function generate_tests(f, list) { list.forEach(function (args) { test(function () { f.apply(this, args.slice(1)) }, args[0]) }) }
function fail(what, m) { throw new Error((m ? m + ": " : "") + what) }
function assert_true(v, m) { if (v !== true) fail("expected true, got " + format(v), m) }
function assert_false(v, m) { if (v !== false) fail("expected false, got " + format(v), m) }
function assert_equals(v, w, m) { if (!Object.is(v, w)) fail("expected " + format(w) + ", got " + format(v), m) }
function assert_not_equals(v, w, m) { if (Object.is(v, w)) fail("got " + format(v), m) }
function assert_array_equals(v, w, m) {
	if (v.length !== w.length) fail("expected length " + w.length + ", got " + v.length, m);
	for (var i = 0; i < w.length; i++) assert_equals(v[i], w[i], m);
}
function assert_in_array(v, list, m) { if (list.indexOf(v) < 0) fail(format(v) + " is not in the list", m) }
function assert_object_equals(v, w, m) { assert_equals(JSON.stringify(v), JSON.stringify(w), m) }
function assert_throws_js(c, f, m) { try { f() } catch (e) { if (!(e instanceof c)) fail("threw " + format(e), m); return } fail("did not throw", m) }
function assert_throws_dom(name, f, g, m) {
	if (typeof g === "function") f = g;
	try { f() } catch (e) {
		if (!(e instanceof DOMException)) fail("threw " + format(e), m);
		if (e.name !== name && e.code !== DOMException[name]) fail("threw " + e.name, m);
		return;
	}
	fail("did not throw", m);
}
function assert_throws_exactly(v, f, m) { try { f() } catch (e) { assert_equals(e, v, m); return } fail("did not throw", m) }
function assert_unreached(m) { fail("reached", m) }
function assert_regexp_match(v, w, m) { if (!w.test(v)) fail(format(v), m) }
function assert_class_string(v, w, m) { assert_equals({}.toString.call(v), "[object " + w + "]", m) }
function assert_own_property(o, p, m) { assert_true(Object.prototype.hasOwnProperty.call(o, p), m) }
function assert_idl_attribute(o, p, m) { assert_true(p in o, m) }
function assert_readonly(o, p, m) { var before = o[p]; try { o[p] = before + "x" } catch (e) {} assert_equals(o[p], before, m) }
function assert_greater_than(v, w, m) { assert_true(v > w, m) }
function assert_less_than(v, w, m) { assert_true(v < w, m) }
function assert_greater_than_equal(v, w, m) { assert_true(v >= w, m) }
function promise_rejects_js(t, c, p, m) { return Promise.resolve(p).then(function () { fail("resolved", m) }, function (e) { if (!(e instanceof c)) fail("rejected with " + format(e), m) }) }
function promise_rejects_dom(t, name, p, m) { return Promise.resolve(p).then(function () { fail("resolved", m) }, function (e) { assert_equals(e.name, name, m) }) }
function promise_rejects_exactly(t, v, p, m) { return Promise.resolve(p).then(function () { fail("resolved", m) }, function (e) { assert_equals(e, v, m) }) }
function step_timeout(f, ms) { return setTimeout(f, ms) }
function format_value(v) { return format(v) }
function subsetTestByKey(key, t) { return t.apply(null, [].slice.call(arguments, 2)) }
function subsetTest(t) { return t.apply(null, [].slice.call(arguments, 1)) }
`

// finish reports the results once all tests have ended.
const finish = `
;(function report(seen) {
	Promise.all(waiting).then(function () {
		if (waiting.length > seen) return report(waiting.length);
		Spark.setScriptData("results", results);
	});
})(waiting.length);
`

// TestWebPlatform runs files of the web platform tests on the server and prints
// which share of their tests passes. WPT names a checkout of
// web-platform-tests/wpt; WPT_FILES lists files in it, with wildcards.
func TestWebPlatform(t *testing.T) {
	root := os.Getenv("WPT")
	if root == "" {
		t.Skip("WPT names no checkout of the web platform tests")
	}
	for _, pattern := range strings.Fields(os.Getenv("WPT_FILES")) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		if len(files) == 0 {
			t.Logf("%-60s names no file", pattern)
		}
		for _, file := range files {
			name, err := filepath.Rel(root, file)
			require.NoError(t, err)
			runWebPlatform(t, os.DirFS(root), filepath.ToSlash(name))
		}
	}
}

func runWebPlatform(t *testing.T, wpt fs.FS, name string) {
	t.Helper()
	read := func(name string) string {
		text, err := fs.ReadFile(wpt, name)
		if err != nil {
			t.Logf("  no file %s", name)
		}
		return string(text)
	}
	source := read(name)
	script := harness
	for line := range strings.Lines(source) {
		if include, ok := strings.CutPrefix(strings.TrimSpace(line), "// META: script="); ok {
			if included := strings.TrimPrefix(include, "/"); included != include {
				script += read(included)
			} else {
				script += read(path.Join(path.Dir(name), include))
			}
		}
	}
	// The data that a test loads are read before it runs.
	script += `;var files = {}; function fetchFile(name) { return Promise.resolve({ json: function () { return Promise.resolve(files[name]) } }) }` + "\n"
	for _, match := range regexp.MustCompile(`fetch\("([^"]+\.json)"\)`).FindAllStringSubmatch(source, -1) {
		script += fmt.Sprintf("files[%q] = %s;\n", match[1], read(path.Join(path.Dir(name), match[1])))
		source = strings.ReplaceAll(source, match[0], fmt.Sprintf("fetchFile(%q)", match[1]))
	}
	script += "\n" + source + finish
	handler := &callback.Handler{
		Runner:      &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/wpt.js": {Data: []byte(script)}}, MaxScriptSize: 64 << 20},
		Secrets:     callback.SecretMap{"E3/wpt": "s3cret"},
		Timeout:     60e9,
		MaxResponse: 64 << 20,
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/callback/E3/wpt/s3cret", nil))
	var got struct{ Results [][2]*string }
	if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &got) != nil {
		t.Logf("%-60s does not run: %d", name, answer.Code)
		return
	}
	passed := 0
	for _, result := range got.Results {
		if result[1] == nil {
			passed++
		} else if testing.Verbose() {
			t.Logf("  %.100s: %.200s", *result[0], *result[1])
		}
	}
	t.Logf("%-60s %d of %d", name, passed, len(got.Results))
}
