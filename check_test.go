package callback

import (
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/testkit"
)

// checked gives the problems as text, those that are fatal with a star.
func checked(t *testing.T, files map[string]string, members ...string) []string {
	t.Helper()
	report, err := Check(testkit.Tree(files), CheckOptions{Members: members})
	require.NoError(t, err)
	lines := []string{}
	for _, p := range report.Problems {
		line := p.String()
		if p.Fatal {
			line = "*" + line
		}
		lines = append(lines, line)
	}
	return lines
}

func TestCheckTree(t *testing.T) {
	t.Parallel()
	lines := checked(t, map[string]string{
		"callbacks/good.js":         "requireOnce('UTIL');\nSpark.setScriptData('a', twice(2));",
		"callbacks/broken.js":       "var a = 1;\nvar b = ;\n",
		"callbacks/my hook.js":      "1",
		"callbacks/huge.js":         strings.Repeat(" ", DefaultMaxScriptSize+1),
		"callbacks/hidden.js":       "if (Spark.getData().x) { require('NONE'); }\nfunction f() { require('BROKEN') }\nSpark.getCache().get('x')",
		"callbacks/sure.js":         "require('UTIL')\nrequireOnce('NONE')",
		"callbacks/chain.js":        "require('DIRECT')",
		"callbacks/notes.txt":       "not a script (",
		"callbacks/deep/x.js":       "not reached (",
		"modules/UTIL.js":           "function twice(n) { return 2 * n }",
		"modules/BROKEN.js":         "\n  function (",
		"modules/DIRECT.js":         "require('INDIRECT'); require('DIRECT')",
		"modules/INDIRECT.js":       "(function () {\n  var c = Spark.runtimeCollection('c');\n})();",
		"system/GS_CALLBACK_URL.js": "\ufeffSpark.setScritpData('a', 1)",
		"system/GS_OTHER.js":        "no script of ours (",
		"events/E.js":               "nor this (",
	})
	require.Equal(t, []string{
		"*callbacks/broken.js:2:9: SyntaxError: Unexpected token ;",
		`*callbacks/chain.js:1:1: require: module "DIRECT" cannot run`,
		`callbacks/hidden.js:1:26: require: no module "NONE"`,
		`callbacks/hidden.js:2:16: require: module "BROKEN" does not compile`,
		"*callbacks/hidden.js:3:7: Spark.getCache is not supplied: the host of these scripts can supply it",
		"*callbacks/huge.js: script is over the limit of 1048576 bytes",
		`*callbacks/my hook.js: nothing can run a script of the name "my hook": it may have A-Z a-z 0-9 _ - only`,
		`*callbacks/sure.js:2:1: requireOnce: no module "NONE"`,
		"*modules/BROKEN.js:2:12: SyntaxError: Unexpected token (",
		`*modules/DIRECT.js:1:1: require: module "INDIRECT" cannot run`,
		"*modules/INDIRECT.js:2:17: Spark.runtimeCollection is not supplied: the host of these scripts can supply it",
		"*system/GS_CALLBACK_URL.js:1:7: Spark has no member setScritpData: did you mean setScriptData?",
	}, lines)
}

func TestCheckErrors(t *testing.T) {
	t.Parallel()
	_, err := Check(testkit.Tree(map[string]string{"hello.js": "1"}), CheckOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "callback: no folder with scripts to check: file does not exist")

	_, err = Check(testkit.Tree(map[string]string{"E300018ZDdAx/callbacks/hello.js": "1"}), CheckOptions{})
	require.EqualError(t, err, "callback: no scripts here, but in E300018ZDdAx: file does not exist")

	report, err := Check(testkit.Tree(map[string]string{"modules/A.js": ""}), CheckOptions{})
	require.NoError(t, err)
	require.True(t, report.Run())
	require.Empty(t, report.Problems)
}

func TestCheckScript(t *testing.T) {
	t.Parallel()
	const notSupplied = " is not supplied: the host of these scripts can supply it"
	for _, test := range []struct {
		name, source string
		members      string
		want         []string // without the file's name
	}{
		{"carried", "Spark.getData(); Spark.data.x; Spark.player; Spark['getLog']().info(1); Spark.hasOwnProperty('x')", "", nil},
		{"supplied", "Spark.loadPlayer('p').anything(); Spark.getPlayer().getDisplayName()", "loadPlayer getPlayer", nil},
		{"bracket", "Spark['getRedis']()", "", []string{"*1:7: Spark.getRedis" + notSupplied}},
		{"computed", "Spark[name]()", "", nil},
		{"read", "var f = Spark.getRedis; if (Spark.getCache) Spark.getCache()", "", []string{
			"1:15: Spark.getRedis" + notSupplied, "1:35: Spark.getCache" + notSupplied, "1:51: Spark.getCache" + notSupplied}},
		{"asked for", "typeof Spark.getRedis === 'function' && 1; typeof Spark.nonsense", "", nil},
		{"caught", "try { Spark.getRedis() } catch (e) { Spark.getRedis() } finally { Spark.getCache() }", "", []string{
			"1:13: Spark.getRedis" + notSupplied, "1:44: Spark.getRedis" + notSupplied, "*1:73: Spark.getCache" + notSupplied}},
		{"finally only", "try { Spark.getRedis() } finally { }", "", []string{"*1:13: Spark.getRedis" + notSupplied}},
		{"branches", "x ? Spark.getRedis() : 0;\nx && Spark.getRedis();\nfor (;x;) Spark.getRedis();\nwhile (x) Spark.getRedis();\nswitch (x) { case 1: Spark.getRedis() }", "", []string{
			"1:11: Spark.getRedis" + notSupplied, "2:12: Spark.getRedis" + notSupplied, "3:17: Spark.getRedis" + notSupplied,
			"4:17: Spark.getRedis" + notSupplied, "5:28: Spark.getRedis" + notSupplied}},
		{"conditions", "if (Spark.getRedis().get('x')) 1;\ndo { Spark.getCache() } while (0);\nfor (var i = Spark.getTeams(); 0;) 1;\nfor (i in Spark.getFiles()) 1", "", []string{
			"*1:11: Spark.getRedis" + notSupplied, "*2:12: Spark.getCache" + notSupplied,
			"*3:20: Spark.getTeams" + notSupplied, "*4:17: Spark.getFiles" + notSupplied}},
		{"functions", "function f() { Spark.getRedis() }\nvar g = () => Spark.getRedis();\nclass C { m() { Spark.getRedis() } }\n({ get x() { return Spark.getRedis() } })", "", []string{
			"1:22: Spark.getRedis" + notSupplied, "2:21: Spark.getRedis" + notSupplied,
			"3:23: Spark.getRedis" + notSupplied, "4:27: Spark.getRedis" + notSupplied}},
		{"called at once", "(() => Spark.getRedis())();\n(async () => Spark.getRedis())();\n(function () { Spark.getCache() }());", "", []string{
			"*1:14: Spark.getRedis" + notSupplied, "2:20: Spark.getRedis" + notSupplied, "*3:22: Spark.getCache" + notSupplied}},
		{"everywhere", "f(`${Spark.getRedis()}`, [Spark.getCache()], {a: Spark.getTeams()}, ...Spark.getFiles());\nnew (Spark.getConfig())(); throw Spark.find()", "", []string{
			"*1:12: Spark.getRedis" + notSupplied, "*1:33: Spark.getCache" + notSupplied, "*1:56: Spark.getTeams" + notSupplied,
			"*1:78: Spark.getFiles" + notSupplied, "*2:12: Spark.getConfig" + notSupplied, "*2:40: Spark.find" + notSupplied}},
		{"set by the script", "Spark.getRedis = function () {}; Spark.getRedis(); Spark.mine = 1; Spark.mine", "", nil},
		{"local Spark", "function f(Spark) { Spark.getRedis(); Spark.nonsense }", "", nil},
		{"optional", "Spark.getRedis?.()", "", []string{"1:7: Spark.getRedis" + notSupplied}},
		{"unknown", "Spark.getdata(); Spark.abracadabra()", "", []string{
			"*1:7: Spark has no member getdata: did you mean getData?", "*1:24: Spark has no member abracadabra"}},
		{"players", "Spark.getPlayer().getDisplayName();\nSpark.player.getPlayerld();", "", []string{
			"*1:19: SparkPlayer.getDisplayName" + notSupplied, "*2:14: SparkPlayer has no member getPlayerld: did you mean getPlayerId?"}},
		{"chains", "Spark.getHttp('u').setHeaders({}).postJSON({});\nSpark.getHttp('u').get().getJson();\nSpark.getLog().warning(1);\nSpark.getDigester().sha1('x')", "", []string{
			"*1:35: SparkHttp has no member postJSON: did you mean postJson?", "*2:26: SparkHttpResponse has no member getJson",
			"*3:16: SparkLog has no member warning", "*4:21: SparkDigest has no member sha1"}},

		{"own require", "require = function (n) {}; require('NONE')", "", nil},
		{"declared require", "function require(n) {} require('NONE')", "", nil},
		{"local require", "(function (require) { require('./a') })(f)", "", nil},
		{"computed require", "require('A' + x); require(name); o.require('x')", "", nil},
		{"itself", "require('SELF')", "", []string{`*1:1: require: no module "SELF"`}},

		{"java", "new JavaImporter(Packages.java.util); importPackage(java.io)", "", []string{
			"*1:5: JavaImporter: there is no Java here", "*1:18: Packages: there is no Java here",
			"*1:39: importPackage: there is no Java here", "*1:53: java: there is no Java here"}},
		{"own java", "var java = {}; java.x; o.Packages; typeof importClass", "", nil},
		{"e4x at run time", "function f(s) { return new XML(s) }", "", []string{"1:28: XML: E4X is not JavaScript any more"}},
		{"rhino methods", "'a'.quote(); x.toSource(); __p.__noSuchMethod__ = f; ({__noSuchMethod__: f})", "", []string{
			"*1:5: quote() is not JavaScript any more: use JSON.stringify", "*1:16: toSource() is not JavaScript any more: use JSON.stringify",
			"1:32: __noSuchMethod__ is never called: use a Proxy", "1:56: __noSuchMethod__ is never called: use a Proxy"}},
		{"own quote", "String.prototype.quote = f; 'a'.quote(); x.quote(1)", "", nil},
		{"destructuring for in", "for (var [k, v] in o) 1; for (let [k, v] of o) 1", "", []string{
			"1:10: a pattern in `for (… in …)` takes the name apart, not a pair: write `for (const [k, v] of Object.entries(o))`"}},
		{"iterators", "for (const [k, v] of Iterator(o)) 1", "", []string{"*1:22: Iterator is not JavaScript any more: use for … of, Object.entries and generators"}},
		{"other worlds", "console.log(1); setTimeout(f, 1); new SparkRequests.LogEventRequest()", "", nil},
		{"names that are none", "o = {java: 1, console() {}}; o.java; java: for (;;) { break java }\nclass C { XML() {} }", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := []string{}
			for _, line := range test.want {
				fatal := strings.HasPrefix(line, "*")
				line = "callbacks/x.js:" + strings.TrimPrefix(line, "*")
				if fatal {
					line = "*" + line
				}
				want = append(want, line)
			}
			require.Equal(t, want, checked(t, map[string]string{"callbacks/x.js": test.source}, strings.Fields(test.members)...))
		})
	}
}

// Check returns a report for a tree that is nested too deeply to be checked in full.
func TestCheckDepth(t *testing.T) {
	t.Parallel()
	problems := checked(t, map[string]string{
		"callbacks/deep.js":  strings.Repeat("!", 11_000) + "Spark.getCache()",
		"callbacks/chain.js": "Spark" + strings.Repeat(".getHttp()", 1_000),
		"callbacks/sum.js":   "x = 1" + strings.Repeat("+1", 2_000) + " + Spark.getCache()",
	})
	require.Len(t, problems, 3)
	require.Equal(t, []string{
		"*callbacks/chain.js:1:17: SparkHttp has no member getHttp",
		"callbacks/deep.js: what is nested more than 10000 deep is not checked",
		"*callbacks/sum.js:1:4015: Spark.getCache is not supplied: the host of these scripts can supply it",
	}, problems)
}

// A script that Check calls fatal fails in a run with the same message.
func TestCheckAgreesWithRuns(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"Spark.getCache()", "Spark.nonsense()", "require('NONE')", "require('BROKEN')", "for each (x in y) 1",
		"Spark.getLog().warning(1)", "(function () { Spark.getCache() })()", "new XML('<a/>')", "'a'.quote()",
		"importPackage(java.io)", "try { Spark.getCache() } finally { }",
		"module.exports = 1", "process.exit()", "await (5)", "var x = await 5", "import 'x'", "export default 1",
		"const A = 1; require('A')", "require('A'); class A {}", "let A; require('B')",
		"var p = Spark.getPlayer(); p.addAchievement('X')", "var http = Spark.getHttp('http://127.0.0.1:1/'); http.post()",
	} {
		fsys := testkit.Tree(map[string]string{"callbacks/x.js": source, "modules/BROKEN.js": "(",
			"modules/A.js": "if (1) { var A = 2 }", "modules/B.js": "require('A')"})
		report, err := Check(fsys, CheckOptions{})
		require.NoError(t, err)
		require.True(t, len(report.Problems) > 0 && report.Problems[0].Fatal, source)

		_, err = (&GojaRunner{Scripts: fsys}).RunScript(t.Context(), &Call{Credential: "x"})
		require.Error(t, err, source)
	}
}

func FuzzCheck(f *testing.F) {
	for _, source := range []string{
		"for each (x in y) 1", "var {a = 1, ...b} = Spark; for (const [k] of x) ;", "class A extends B { static { x } #p = 1; get [y]() {} }",
		"label: for (;;) { continue label }", "f`a${b}c`; new.target; a?.b?.[c]?.(d)", "async () => { for await (x of y) ; await z }",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		report, err := Check(testkit.Tree(map[string]string{"callbacks/x.js": source}), CheckOptions{})
		require.NoError(t, err)
		require.NoError(t, report.WriteText(io.Discard, true))
		for _, p := range report.Problems {
			require.NotEmpty(t, p.Message)
		}
	})
}

// TestCheckCounts: the report says "1 script" and not "1 scripts".
func TestCheckCounts(t *testing.T) {
	t.Parallel()
	one := map[string]string{"callbacks/a.js": ""}
	two := map[string]string{"callbacks/a.js": "", "callbacks/b.js": ""}
	for want, files := range map[string]map[string]string{
		"1 script checked: 1 can run, 0 cannot\n":  one,
		"2 scripts checked: 2 can run, 0 cannot\n": two,
	} {
		report, err := Check(testkit.Tree(files), CheckOptions{})
		require.NoError(t, err)
		var text strings.Builder
		require.NoError(t, report.WriteText(&text, false))
		require.Contains(t, text.String(), want)
	}
}
