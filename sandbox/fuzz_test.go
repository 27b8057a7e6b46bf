package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/testkit"
	"example.com/callback/internal/tree"
)

// messages returns an empty message of each type.
func messages() []interface {
	encode(*encoder)
	decode(*decoder)
} {
	return []interface {
		encode(*encoder)
		decode(*decoder)
	}{
		&setup{}, &callMessage{Call: new(callback.Call)}, &resultMessage{Result: new(callback.Result)},
		&logMessage{}, &verdictMessage{},
		&statQuestion{}, &statReply{}, &readQuestion{}, &readReply{},
		&httpQuestion{}, &httpReply{}, &dropMessage{}, &invokeQuestion{}, &invokeReply{}, &memberList{},
	}
}

// FuzzFrame decodes hostile frames as each type of message. What can be decoded
// must survive being encoded and decoded again.
func FuzzFrame(f *testing.F) {
	for _, frame := range sampleFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, payload, err := readFrame(bytes.NewReader(data), func(kind) int64 { return 1 << 20 })
		if err != nil {
			return
		}
		again := messages()
		for i, m := range messages() {
			d := &decoder{b: payload}
			if m.decode(d); d.done() != nil {
				continue
			}
			var e encoder
			m.encode(&e)
			d = &decoder{b: e.b}
			again[i].decode(d)
			require.NoError(t, d.done())
			require.Equal(t, m, again[i])
		}
	})
}

// FuzzSession runs the parent's side of a call with a child that sends arbitrary
// frames.
func FuzzSession(f *testing.F) {
	frames := sampleFrames()
	for _, frame := range frames {
		f.Add(frame)
	}
	f.Add(bytes.Join(frames, nil))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(f, err)
	defer null.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &Runner{lib: library{maxSize: 1 << 10, scripts: testkit.Tree(map[string]string{
			"callbacks/x.js": "1",
			"modules/M.js":   "var M",
			"secret.js":      "secret",
		})}}
		c := hostileChild(pipeTo(t, null), data)
		s := session{runner: r, scripts: &r.lib, child: c, ctx: context.Background(), main: "callbacks/x.js", call: &callback.Call{
			Credential: "x",
			Logger:     slog.New(slog.DiscardHandler),
			Members: callback.Members{"f": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				return args, nil
			}}},
			HTTP: callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
				if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
					t.Error("request to", req.URL)
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
			}),
		}}
		result, end, err := s.run(nil)
		if end == childDied {
			require.Error(t, err)
			require.Nil(t, result)
		}
		if result != nil {
			for _, field := range append(result.Data, result.Errors...) {
				require.True(t, json.Valid(field.Value))
			}
		}
		_, read := r.lib.files.Load("secret.js")
		require.False(t, read)
	})
}

// All fields of a call reach the child, except those that cannot leave the process.
func TestWholeCall(t *testing.T) {
	t.Parallel()
	live := []string{"Members", "Globals", "HTTP", "Logger", "Usage"}
	call := new(callback.Call)
	v := reflect.ValueOf(call).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || slices.Contains(live, field.Name) {
			continue
		}
		switch f := v.Field(i).Addr().Interface().(type) {
		case *string:
			*f = field.Name
		case *[]byte:
			*f = []byte(field.Name)
		case *json.RawMessage:
			*f = []byte(field.Name)
		case *[]callback.Param:
			*f = []callback.Param{{Name: field.Name, Values: []string{"1", "2"}}}
		case *time.Time:
			*f = time.Unix(int64(i+1), 5)
		case *time.Duration:
			*f = time.Duration(i + 1)
		case *int64:
			*f = int64(i + 1)
		case *uint64:
			*f = uint64(i + 1)
		default:
			t.Fatalf("what is %s?", field.Name)
		}
	}
	var e encoder
	(&callMessage{Call: call}).encode(&e)
	var m callMessage
	d := &decoder{b: e.b}
	m.decode(d)
	require.NoError(t, d.done())
	require.Equal(t, call, m.Call)

	// nil and empty are different.
	for _, call := range []*callback.Call{
		{}, {Data: []callback.Param{}, RequestHeaders: []callback.Param{}, Body: []byte{}, Input: json.RawMessage{}},
	} {
		var e encoder
		(&callMessage{Call: call}).encode(&e)
		d := &decoder{b: e.b}
		m.decode(d)
		require.Equal(t, call, m.Call)
	}
}

// encoded returns the message's frame.
func encoded(m message) []byte {
	var frame bytes.Buffer
	if err := new(encoder).send(&frame, m, fromParent); err != nil {
		panic(err)
	}
	return frame.Bytes()
}

// sampleFrames are frames of all kinds.
func sampleFrames() [][]byte {
	frames := [][]byte{
		encoded(&setup{MaxMemory: 1 << 28, MaxScriptSize: 1 << 20, Zone: "Europe/Vienna", ZoneOffset: 3600, HasTZ: true, TZ: "x"}),
		encoded(&callMessage{
			Call: &callback.Call{
				APIKey: "k", Data: []callback.Param{{Name: "a", Values: []string{"b", "c"}}}, Now: time.Unix(1, 2), Seed: 3,
			},
			HasHTTP: true, Remaining: time.Second, Levels: 15,
			Files:   []fileState{{name: "modules/M.js", stamp: tree.Stamp{Sec: 1, Size: 2}}, {name: "x", absent: true}},
			Members: []byte{1, 0, 1, 'f', 0, 0, 1, 1, 'g', 1},
		}),
		encoded(&logMessage{Level: 2, Message: "message", Attrs: []logAttr{
			{Key: "line", IsNumber: true, Number: 7}, {Key: "script", Text: "x"},
		}}),
		encoded(&httpQuestion{
			Method: "POST", URL: "http://x.example/", Timeout: time.Second,
			Header: http.Header{"A": {"b"}}, HasBody: true, Body: []byte("body"),
		}),
		encoded(&httpReply{Status: 200, Header: http.Header{"A": {"b"}}, Body: []byte("body")}),
		encoded(&invokeQuestion{Args: callback.Args{[]byte(`{"a":1}`)}}),
		encoded(&invokeReply{Value: []byte(`{"a":1}`)}),
		encoded(&statReply{Stamp: tree.Stamp{Sec: 1, Size: 2, Inode: 3, Sum: [16]byte{4}}}),
		encoded(&readReply{File: fileText{text: []byte("x")}, OnTrial: true, Previous: &fileText{text: []byte("y")}}),
		encoded(&resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte("1")}}}}),
		encoded(&resultMessage{Result: &callback.Result{Where: map[string]callback.Position{"RESPONSE_STATUS": {Script: "x", Line: 1, Column: 2}}}}),
		encoded(&resultMessage{
			Err:   &callback.ScriptError{Script: "x", Line: 1, Message: "m", Err: context.DeadlineExceeded},
			Spent: true,
		}),
	}
	for _, name := range []string{"modules/M.js", "secret.js", "../x"} {
		frames = append(frames,
			encoded(&statQuestion{name}), encoded(&readQuestion{name}), encoded(&verdictMessage{errors.New("no")}))
	}
	return frames
}

// A frame that the library's own code does not send ends the child and its call.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	result := func(value string) []byte {
		return encoded(&resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte(value)}}}})
	}
	names := func(n int) (list []callback.Field) {
		for range n {
			list = append(list, callback.Field{Value: []byte("1")})
		}
		return list
	}
	arguments := func(n int) (list callback.Args) {
		for range n {
			list = append(list, []byte("1"))
		}
		return list
	}
	// Each of these is followed by a result that would be fine.
	for name, c := range map[string]struct {
		frame []byte
		error string
	}{
		"too long":          {[]byte{byte(kindResult), 255, 255, 255, 255}, "frame is too large"},
		"over the limit":    {encoded(&statQuestion{strings.Repeat("x", maxFrameName)}), "frame is too large"},
		"length is a lie":   {[]byte{byte(kindResult), 0, 1, 255, 255, 1}, "killed"},
		"unknown kind":      {[]byte{'?', 0, 0, 0, 0}, "broke the protocol"},
		"a kind of ours":    {[]byte{byte(kindCancel), 0, 0, 0, 0}, "broke the protocol"},
		"ready again":       {encoded(&readyMessage{}), "broke the protocol"},
		"no fields":         {[]byte{byte(kindResult), 0, 0, 0, 0}, "broke the protocol"},
		"many fields":       {[]byte{byte(kindResult), 0, 0, 0, 7, 0, 0, 0, 0, 255, 255, 3}, "broke the protocol"},
		"one byte too many": {[]byte{byte(kindResult), 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}, "broke the protocol"},
		"result over bytes": {result(`"` + strings.Repeat("x", 1<<10) + `"`), "broke the protocol"},
		"result of places":  {encoded(&resultMessage{Result: &callback.Result{Where: map[string]callback.Position{"a": {}, "b": {}, "c": {}}}}), "broke the protocol"},
		"result of names":   {encoded(&resultMessage{Result: &callback.Result{Data: names(limit.ResultNames + 1)}}), "broke the protocol"},
		"many arguments":    {encoded(&invokeQuestion{Args: arguments(limit.Args + 1)}), "broke the protocol"},
		"arguments over":    {encoded(&invokeQuestion{Args: arguments(101)}), "broke the protocol"},
		"not JSON":          {result(`{"a":`), "broke the protocol"},
		"not UTF-8":         {result("\"\xff\""), "broke the protocol"},
		"unasked verdict":   {encoded(&verdictMessage{}), "broke the protocol"},
		"no such function":  {encoded(&invokeQuestion{Function: 9}), "broke the protocol"},
		"missing function":  {encoded(&invokeQuestion{Function: 1}), "broke the protocol"},
		"argument no JSON":  {encoded(&invokeQuestion{Args: callback.Args{[]byte("{")}}), "broke the protocol"},
		"http not allowed":  {encoded(&httpQuestion{Method: "GET", URL: "http://x.example/"}), "broke the protocol"},
		"no such level":     {encoded(&logMessage{Level: 4}), "broke the protocol"},
		"many attributes":   {encoded(&logMessage{Attrs: make([]logAttr, maxLogAttrs+1)}), "broke the protocol"},
		"cut header":        {[]byte{byte(kindResult), 0}, "killed"},
		"white space":       {result("[1, 2]"), "broke the protocol"},
		"nothing":           {nil, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frames := c.frame
			if len(c.frame) >= headerSize {
				frames = append(bytes.Clone(c.frame), result("1")...)
			}
			s, _ := hostileSession(t, frames)
			s.call.Members = callback.Members{
				"f": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					t.Error("the host function was called")
					return nil, nil
				}},
				"missing": {},
			}
			s.call.MaxResult, s.call.MaxArgs = 1<<10, 100
			if name == "result of names" || name == "many arguments" {
				s.call.MaxResult, s.call.MaxArgs = 0, 0
			}
			result, end, err := s.run(nil)
			require.Nil(t, result)
			require.ErrorContains(t, err, c.error)
			want := childDied
			if strings.Contains(err.Error(), "broke the protocol") {
				want = childSpent
			}
			require.Equal(t, want, end)
		})
	}
}

// hostileChild is a child that sends these frames.
func hostileChild(in pipe, frames []byte) *child {
	return &child{in: in, from: bufio.NewReader(bytes.NewReader(frames)), dead: make(chan struct{})}
}

// hostileSession is one with a child that sends these frames. The function
// returns what the parent has sent.
func hostileSession(t testing.TB, frames []byte) (*session, func() []byte) {
	sent, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	t.Cleanup(func() { sent.Close() })
	return &session{
			runner: new(Runner),
			child:  hostileChild(pipeTo(t, sent), frames),
			ctx:    t.Context(),
			scripts: &library{maxSize: 1 << 10, scripts: testkit.Tree(map[string]string{
				"callbacks/x.js": "1",
				"secret.txt":     "secret",
			})},
			main: "callbacks/x.js",
			call: &callback.Call{Credential: "x"},
		}, func() []byte {
			text, err := os.ReadFile(sent.Name())
			require.NoError(t, err)
			return text
		}
}
