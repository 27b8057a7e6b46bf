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
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// FuzzFrame reads frames that nobody vouches for, takes them for each kind of
// message, and checks that what can be read is written alike.
func FuzzFrame(f *testing.F) {
	for _, frame := range sampleFrames() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, payload, err := readFrame(bytes.NewReader(data), 1<<20)
		if err != nil {
			return
		}
		var e encoder
		d := &decoder{b: payload}
		call, left, levels, hasHTTP, files := decodeCall(d)
		if d.done() == nil {
			if hasHTTP {
				call.HTTP = http.DefaultClient
			}
			e.begin(kindCall)
			encodeCall(&e, call, left, levels, files)
			again := &decoder{b: e.b[headerSize:]}
			call2, left2, levels2, hasHTTP2, files2 := decodeCall(again)
			require.NoError(t, again.done())
			call.HTTP = nil
			require.Equal(t, call, call2)
			require.Equal(t, []any{left, levels, hasHTTP, files}, []any{left2, levels2, hasHTTP2, files2})
		}
		d = &decoder{b: payload}
		if fault := decodeError(d); d.done() == nil {
			e.begin(kindJudged)
			encodeError(&e, fault)
			again := &decoder{b: e.b[headerSize:]}
			require.Equal(t, fault, decodeError(again))
			require.NoError(t, again.done())
		}
		d = &decoder{b: payload}
		d.bool()
		if fault := decodeError(d); fault == nil {
			for _, field := range append(decodeFields(d), decodeFields(d)...) {
				require.True(t, json.Valid(field.Value))
			}
		}
		_, _ = new(worker).decodeMembers(&decoder{b: payload})
		decodeHeader(&decoder{b: payload})
		decodeParams(&decoder{b: payload})
		newOpenFile("x", &decoder{b: payload})
		new(setup).decode(&decoder{b: payload})
	})
}

// FuzzSession is a parent whose child says what it likes.
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
		r := &Runner{lib: library{maxSize: 1 << 10, scripts: fstest.MapFS{
			"callbacks/x.js": {Data: []byte("1")},
			"modules/M.js":   {Data: []byte("var M")},
			"secret.js":      {Data: []byte("secret")},
		}}}
		c := &child{in: null, from: bufio.NewReader(bytes.NewReader(data)), dead: make(chan struct{})}
		s := session{runner: r, child: c, ctx: context.Background(), main: "callbacks/x.js", call: &callback.Call{
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
		if end == died {
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

// sampleFrames are frames of all kinds.
func sampleFrames() (frames [][]byte) {
	add := func(kind byte, fill func(e *encoder)) {
		var e encoder
		var out bytes.Buffer
		e.begin(kind)
		fill(&e)
		_ = e.send(&out, maxFrame)
		frames = append(frames, out.Bytes())
	}
	add(kindCall, func(e *encoder) {
		encodeCall(e, &callback.Call{
			APIKey: "k", Data: []callback.Param{{Name: "a", Values: []string{"b", "c"}}},
			HTTP: http.DefaultClient, Now: time.Unix(1, 2), Seed: 3,
		}, time.Second, 15, []fileState{{name: "modules/M.js", stamp: stamp{time.Unix(1, 0), 2}}, {name: "x", absent: true}})
	})
	add(kindLog, func(e *encoder) {
		e.uint(2)
		e.string("message")
		e.uint(2)
		e.string("line")
		e.bool(true)
		e.int(7)
		e.string("script")
		e.bool(false)
		e.string("x")
	})
	for _, name := range []string{"modules/M.js", "secret.js", "../x"} {
		add(kindStat, func(e *encoder) { e.string(name) })
		add(kindRead, func(e *encoder) { e.string(name) })
		add(kindJudged, func(e *encoder) { encodeError(e, errors.New("no")) })
	}
	add(kindHTTP, func(e *encoder) {
		e.string("POST")
		e.string("http://x.example/")
		e.int(int64(time.Second))
		encodeHeader(e, http.Header{"A": {"b"}})
		e.bool(true)
		e.string("body")
	})
	add(kindInvoke, func(e *encoder) {
		e.uint(0)
		e.uint(1)
		e.string(`{"a":1}`)
	})
	add(kindResult, func(e *encoder) {
		encodeResult(e, &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte("1")}}}, nil, false)
	})
	add(kindResult, func(e *encoder) {
		encodeResult(e, nil, &callback.ScriptError{Script: "x", Line: 1, Message: "m", Err: context.DeadlineExceeded}, true)
	})
	return frames
}

// Hostile frames, by what is wrong with them.
func TestHostileFrames(t *testing.T) {
	result := func(value string) []byte {
		var e encoder
		e.begin(kindResult)
		encodeResult(&e, &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte(value)}}}, nil, false)
		return e.b
	}
	for name, frame := range map[string][]byte{
		"nothing":          nil,
		"cut header":       {kindResult, 0},
		"too long":         {kindResult, 255, 255, 255, 255},
		"length is a lie":  {kindResult, 3, 255, 255, 255, 1},
		"unknown kind":     {'?', 0, 0, 0, 0},
		"no fields":        {kindResult, 0, 0, 0, 0},
		"many fields":      {kindResult, 0, 0, 0, 5, 0, 0, 255, 255, 3},
		"not JSON":         fix(result(`{"a":`)),
		"not UTF-8":        fix(result("\"\xff\"")),
		"unasked judgment": {kindJudged, 0, 0, 0, 1, 0},
		"no such function": {kindInvoke, 0, 0, 0, 2, 9, 0},
		"http not allowed": {kindHTTP, 0, 0, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer null.Close()
			c := &child{in: null, from: bufio.NewReader(bytes.NewReader(frame)), dead: make(chan struct{})}
			s := session{runner: new(Runner), child: c, ctx: t.Context(), main: "callbacks/x.js", call: &callback.Call{}}
			allocated := testing.AllocsPerRun(1, func() {
				c.from.Reset(bytes.NewReader(frame))
				result, end, err := s.run(nil)
				require.Nil(t, result)
				require.Equal(t, died, end)
				require.Error(t, err)
			})
			require.Less(t, allocated, 300.0)
		})
	}
}

// fix fills in the length of a frame.
func fix(frame []byte) []byte {
	var out bytes.Buffer
	e := encoder{b: frame}
	_ = e.send(&out, maxFrame)
	return out.Bytes()
}
