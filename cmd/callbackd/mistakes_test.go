package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ten mistakes of an author: authors' mode answers each with what is wrong and
// where, and the console shows the same of the run.
func TestAuthorsMistakes(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	down := closed.Addr().String()
	closed.Close()
	tests := map[string]struct {
		source string
		status int
		line   int      // that is marked
		want   []string // of the answer
	}{
		"syntax": {"var a = 1;\nif (a { a++; }\n", 500, 2, []string{"syntax.js:2:7: SyntaxError: Unexpected token {", "       |       ^"}},
		"module": {"// pays\nrequire(\"PAYMENT\");\n", 500, 2, []string{`require: no module "PAYMENT"`}},
		"quotes": {"Spark.setScriptData(“name”, 1);\n", 500, 1, []string{`“ is a typographic quote: write "`}},
		"member": {"var d = Spark.getData();\nSpark.setScriptdata(\"a\", d.name);\n", 500, 2, []string{"did you mean setScriptData?"}},
		"status": {"var s = 99;\nSpark.setScriptData(\"RESPONSE_STATUS\", s);\n", 500, 2, []string{"RESPONSE_STATUS is not an integer from 200 to 599"}},
		"large":  {"var s = \"x\".repeat(3000000);\nSpark.setScriptData(\"RESPONSE_RAW\", s + s);\n", 500, 0, []string{"response body is over the limit of 4194304 bytes"}},
		// The engine knows the positions of some instructions. Of the others it tells the one before, so that is on the same line.
		"loop":      {"\nvar i = 0; while (true) i++;\n\n", 504, 2, []string{"timeout", "ran past its deadline"}},
		"blocked":   {"\nvar r = Spark.getHttp(\"http://127.0.0.1:1/\").get();\nr.getResponseCode();\n", 500, 3, []string{"script=callbacks/blocked.js line=2 host=127.0.0.1:1 reason=address not allowed"}},
		"host_down": {"\nvar r = Spark.getHttp(\"http://" + down + "/\").get();\nr.getResponseCode();\n", 500, 3, []string{"line=2 host=" + down, "connection refused"}},
		"thrown":    {"function check(x) {\n  if (!x) throw \"no player\";\n}\ncheck();\n", 500, 2, []string{"Uncaught no player", "at <anonymous> (callbacks/thrown.js:4:6)"}},
	}
	files, secrets := map[string]string{}, []string{}
	for name, test := range tests {
		files["scripts/callbacks/"+name+".js"] = test.source
		secrets = append(secrets, `"`+name+`": ["s3cret"]`)
	}
	files["secrets.json"] = `{"KEY": {` + strings.Join(secrets, ", ") + `}}`
	scripts, secretFile := site(t, files)
	guarded := start(t, "-scripts", scripts, "-secrets", secretFile, "-dev", "-timeout", "1s")
	open := start(t, "-scripts", scripts, "-secrets", secretFile, "-dev", "-timeout", "1s", "-allow-private")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := guarded
			if name == "host_down" {
				p = open
			}
			status, body := get(t, p.url+"/callback/KEY/"+name+"/s3cret")
			for try := 0; try < 20 && strings.Contains(body, "still running past its deadline"); try++ { // the machine is busy
				status, body = get(t, p.url+"/callback/KEY/"+name+"/s3cret")
			}
			require.Equal(t, test.status, status, body)
			for _, want := range test.want {
				require.Contains(t, body, want)
			}
			source := strings.Split(test.source, "\n")
			if test.line > 0 {
				require.Contains(t, body, "callbacks/"+name+".js:")
				require.Regexp(t, `(?m)^> +\d+ \| `+regexp.QuoteMeta(source[test.line-1])+`$`, body)
			}
			id := regexp.MustCompile(`\nrun (\w+)\n$`).FindStringSubmatch(body)
			require.NotNil(t, id, body)
			var run struct {
				Error struct {
					Message string
					Line    int
					Excerpt []struct {
						Text string
						Hit  bool
					}
				}
				Log []struct{ Message string }
			}
			eventually(t, func() bool {
				status, body = get(t, p.admin+"/api/runs/"+id[1])
				return status == 200
			}, "run in the console")
			require.NoError(t, json.Unmarshal([]byte(body), &run))
			require.NotEmpty(t, run.Error.Message)
			require.NotEmpty(t, run.Log)
			require.Equal(t, test.line, run.Error.Line)
			for _, line := range run.Error.Excerpt {
				if line.Hit {
					require.Equal(t, source[test.line-1], line.Text)
				}
			}
			require.Equal(t, test.line > 0, len(run.Error.Excerpt) > 0)
		})
	}
}

// Mistakes in a request are explained as well.
func TestAuthorsMistakesInRequests(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/callbacks/signed.js": `Spark.setScriptData("n", Spark.getData().REQUEST_HEADERS["x-my-signature"].length)`,
		"secrets.json":                `{"KEY": {"signed": ["s3cret"], "ghost": ["s3cret"]}, "GAME": {"": ["s3cret"]}}`,
	})
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-dev")
	for name, test := range map[string]struct {
		method, path string
		status       int
		want         string
	}{
		"secret":           {"GET", "KEY/signed/s3cert", 403, `forbidden: the secret is wrong: "callbackd secret new" or "rotate" makes one for ` + secrets + "\n"},
		"credential":       {"GET", "KEY/singed/s3cret", 403, `forbidden: API key "KEY" has no secret for the credential "singed", it has one for "ghost", "signed"` + "\n"},
		"API key":          {"GET", "KEI/signed/s3cret", 403, "forbidden: " + secrets + ` has no API key "KEI", it has "GAME", "KEY"` + "\n"},
		"no secret":        {"GET", "KEY/signed", 403, "forbidden: want /callback/KEY/CREDENTIAL/SECRET: the API key has no server secret\n"},
		"no credential":    {"GET", "GAME/signed/s3cret", 403, `forbidden: API key "GAME" has no secret for the credential "signed", it has one for none` + "\n"},
		"server secret":    {"GET", "GAME/s3cert", 403, "forbidden: the secret is wrong"},
		"method":           {"PUT", "KEY/signed/s3cret", 405, "method not allowed: start callbackd with -methods PUT to serve it\n"},
		"no script":        {"GET", "KEY/ghost/s3cret", 404, "no_script: callback: no script\nwant callbacks/ghost.js\n"},
		"header not shown": {"GET", "KEY/signed/s3cret", 500, "request headers that the script does not see, unless -headers names them: X-My-Signature\n"},
		"not a callback":   {"GET", "../callbak/KEY/signed/s3cret", 404, `{"error":"not found"}`},
		"no server script": {"GET", "GAME/s3cret", 404, "want system/GS_CALLBACK_URL.js or callbacks/server.js\n"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := send(t, http.DefaultClient, test.method, p.url+"/callback/"+test.path, "", http.Header{"X-My-Signature": {"abc"}})
			require.Equal(t, test.status, status, body)
			require.Contains(t, body, test.want)
		})
	}
	for host, explained := range map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "127.0.0.2:8080": true, "[::1]:80": true,
		"rebound.example": false, "localhost.example:80": false, "10.0.0.1": false,
	} {
		for path, plain := range map[string]string{"KEI/signed/s3cret": `{"error":"forbidden"}`, "KEY/signed/s3cret": `{"error":"script failed"}`} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", p.url+"/callback/"+path, nil)
			require.NoError(t, err)
			r.Host = host
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, errors.Join(err, resp.Body.Close()))
			require.Equal(t, explained, string(text) != plain, "%s: %s", host, text)
		}
	}
}
