package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/testkit"
)

// largestFrames has, by kind, the frame that costs the parent the most: as long as
// the default limits allow, and full of elements that are expensive to decode.
func largestFrames(t testing.TB) map[string][]byte {
	l := limitsOf(new(callback.Call))
	fill := func(k kind, with func(space int64) message) []byte {
		space := l.of(k)
		for {
			var e encoder
			m := with(space)
			m.encode(&e)
			over := int64(len(e.b)) - l.of(k)
			if over <= 0 {
				return encoded(m)
			}
			space -= over
		}
	}
	longText := func(n int64) string { return strings.Repeat("x", int(max(n, 0))) }
	longRunes := func(n int64) string { return strings.Repeat("é", int(max(n, 0)/2)) }
	numbers := func(n int64) []byte {
		text := bytes.Repeat([]byte("1,"), int(max(n, 4)/2))
		text[0], text[len(text)-2], text[len(text)-1] = '[', '1', ']'
		text[1] = '1'
		return text
	}
	fields := func(n int) (list []callback.Field) {
		for i := range n {
			list = append(list, callback.Field{Name: fmt.Sprint(i), Value: []byte("1")})
		}
		return list
	}
	args := func(n int) (list callback.Args) {
		for range n {
			list = append(list, []byte("1"))
		}
		return list
	}
	header := func(n int) http.Header {
		h := http.Header{}
		for i := range n {
			h[fmt.Sprint(i)] = []string{""}
		}
		return h
	}
	const url = "http://x.example/"
	frames := map[string][]byte{
		"result, text": fill(kindResult, func(space int64) message {
			return &resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte(`"` + longText(space) + `"`)}}}}
		}),
		"result, numbers": fill(kindResult, func(space int64) message {
			return &resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: numbers(space)}}}}
		}),
		"result, fields":          encoded(&resultMessage{Result: &callback.Result{Data: fields(maxElements)}}),
		"result, too many fields": encoded(&resultMessage{Result: &callback.Result{Data: fields(maxElements), Errors: fields(1)}}),
		"result, error": fill(kindLog, func(space int64) message {
			return &resultMessage{Err: &callback.ScriptError{Message: longText(space)}}
		}),
		"log":             fill(kindLog, func(space int64) message { return &logMessage{Message: longText(space)} }),
		"log, attributes": encoded(&logMessage{Attrs: make([]logAttr, maxElements)}),
		"verdict": fill(kindVerdict, func(space int64) message {
			return &verdictMessage{&callback.ScriptError{Message: longText(space)}}
		}),
		"result, non-ASCII": fill(kindResult, func(space int64) message {
			return &resultMessage{Result: &callback.Result{Data: []callback.Field{{
				Name: longRunes(space / 2), Value: []byte(`"` + longRunes(space/2) + `"`),
			}}}}
		}),
		"result, escapes": fill(kindResult, func(space int64) message {
			return &resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte(`"` + strings.Repeat(`\n`, int(max(space, 0)/2)) + `"`)}}}}
		}),
		"result, depth": encoded(&resultMessage{Result: &callback.Result{Data: []callback.Field{{
			Name: "a", Value: []byte(strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth)),
		}}}}),
		"result, raw": fill(kindResult, func(space int64) message {
			return &resultMessage{Result: &callback.Result{Raw: make([]byte, max(space, 0))}}
		}),
		"ready": fill(kindReady, func(space int64) message { return &readyMessage{Fault: longText(space)} }),
		"drop":  encoded(&dropMessage{1<<64 - 1}),
		"stat":  fill(kindStat, func(space int64) message { return &statQuestion{longText(space)} }),
		"read":  fill(kindRead, func(space int64) message { return &readQuestion{longText(space)} }),
		"http, body": fill(kindHTTP, func(space int64) message {
			return &httpQuestion{Method: "POST", URL: url, HasBody: true, Body: make([]byte, max(space, 0))}
		}),
		"http, header":          encoded(&httpQuestion{Method: "GET", URL: url, Header: header(maxElements / 2)}),
		"http, values":          encoded(&httpQuestion{Method: "GET", URL: url, Header: http.Header{"A": make([]string, maxElements-1)}}),
		"http, too many values": encoded(&httpQuestion{Method: "GET", URL: url, Header: http.Header{"A": make([]string, maxElements)}}),
		"http, URL": fill(kindHTTP, func(space int64) message {
			return &httpQuestion{Method: "GET", URL: url + longText(space)}
		}),
		"invoke":            fill(kindInvoke, func(space int64) message { return &invokeQuestion{Args: callback.Args{numbers(space)}} }),
		"invoke, arguments": encoded(&invokeQuestion{Args: args(maxElements)}),
		"result, many lists": func() []byte {
			// A header whose lists are longer than they can be.
			var e encoder
			e.b = append(e.b, byte(kindHTTP), 0, 0, 0, 0)
			e.string("GET")
			e.string(url)
			e.int(0)
			e.uint(1 << 16)
			for range 1 << 10 {
				e.string("a")
				e.uint(1 << 16)
			}
			e.b = append(e.b, make([]byte, 1<<20)...)
			return setLength(e.b)
		}(),
	}
	for _, frame := range frames {
		require.NotEmpty(t, frame)
	}
	return frames
}

// setLength fills in the length of a frame.
func setLength(frame []byte) []byte {
	n := len(frame) - headerSize
	frame[1], frame[2], frame[3], frame[4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return frame
}

// parentOf is the parent of a child that sends these frames, to a host whose
// function and client accept anything.
func parentOf(ctx context.Context, sent pipe, frames []byte) *session {
	call := &callback.Call{
		Credential: "x",
		Logger:     slog.New(slog.DiscardHandler),
		Members: callback.Members{"f": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			return nil, nil
		}}},
		HTTP: callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
	}
	child := hostileChild(sent, frames)
	return &session{runner: new(Runner), scripts: &library{scripts: fstest.MapFS{}}, child: child, ctx: ctx, main: "callbacks/x.js", call: call}
}

// No frame makes the parent allocate or compute much. It is not parallel, so that
// nothing else does.
func TestLargestFrames(t *testing.T) {
	testkit.SkipUnderRace(t, "with it, code allocates more and takes longer")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	const enough = 100 * time.Millisecond
	for name, frame := range largestFrames(t) {
		var before, after runtime.MemStats
		s := parentOf(t.Context(), pipeTo(t, null), frame)
		runtime.ReadMemStats(&before)
		_, _, _ = s.run(nil)
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		require.Less(t, allocated, uint64(64<<20), name)

		// This is processor time. Other load can only make it longer, so the shortest
		// of several measurements is used.
		least := time.Duration(math.MaxInt64)
		for try := 0; try < 10 && least >= enough; try++ {
			s := parentOf(t.Context(), pipeTo(t, null), frame)
			start := testkit.CPUTime()
			_, _, _ = s.run(nil)
			least = min(least, testkit.CPUTime()-start)
		}
		require.Less(t, least, enough, name)
		t.Logf("%-24s %9d bytes, allocates %9d, computes %v", name, len(frame), allocated, least)
	}
}

// BenchmarkLargestFrames measures what it costs to decode each.
func BenchmarkLargestFrames(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	defer null.Close()
	for name, frame := range largestFrames(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = parentOf(b.Context(), pipeTo(b, null), frame).run(nil)
			}
		})
	}
}

// Each limit, at its bound and past it.
func TestFrameLimits(t *testing.T) {
	t.Parallel()
	l := limits{result: 100, args: 50}
	for _, k := range []kind{kindReady, kindResult, kindLog, kindVerdict, kindStat, kindRead, kindHTTP, kindDrop, kindInvoke} {
		bound := l.of(k)
		require.Positive(t, bound)
		frame := setLength(append([]byte{byte(k), 0, 0, 0, 0}, make([]byte, bound)...))
		got, payload, err := readFrame(bytes.NewReader(frame), l.of)
		require.NoError(t, err)
		require.Equal(t, k, got)
		require.Len(t, payload, int(bound))
		_, _, err = readFrame(bytes.NewReader(setLength(append(frame, 0))), l.of)
		require.ErrorIs(t, err, errTooLarge)
	}
	for _, k := range []kind{kindSetup, kindCall, kindReply, kindCancel, 0} {
		_, _, err := readFrame(bytes.NewReader([]byte{byte(k), 0, 0, 0, 0}), l.of)
		require.ErrorIs(t, err, errFrame)
	}
	require.Equal(t, limits{limit.ResultBytes(4 << 20), limit.ArgBytes}, limitsOf(new(callback.Call)))
	require.Equal(t, limits{7, 8}, limitsOf(&callback.Call{MaxResult: 7, MaxArgs: 8}))

	list := func(n int) *decoder {
		var e encoder
		e.uint(uint64(n))
		e.b = append(e.b, make([]byte, n)...)
		return &decoder{b: e.b}
	}
	require.Equal(t, maxElements, list(maxElements).count())
	over := list(maxElements + 1)
	require.Zero(t, over.count())
	require.Error(t, over.done())
	trusted := list(maxElements + 1)
	trusted.trusted = true
	require.Equal(t, maxElements+1, trusted.count())
}

// What a child logs is bounded by lines and by bytes.
func TestLogLimits(t *testing.T) {
	t.Parallel()
	end := encoded(&resultMessage{Result: new(callback.Result)})
	for name, c := range map[string]struct {
		line  *logMessage
		lines int
		ok    bool
	}{
		"lines":          {&logMessage{Message: "x"}, limit.LogLines, true},
		"too many lines": {&logMessage{Message: "x"}, limit.LogLines + 1, false},
		"bytes":          {&logMessage{Message: strings.Repeat("x", 1<<15)}, maxLogBytes >> 15, true},
		"too many bytes": {&logMessage{Message: strings.Repeat("x", 1<<15)}, maxLogBytes>>15 + 1, false},
		"attributes":     {&logMessage{Attrs: []logAttr{{Key: "k", Text: strings.Repeat("x", 1<<15-1)}}}, maxLogBytes>>15 + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := hostileSession(t, append(bytes.Repeat(encoded(c.line), c.lines), end...))
			logged := 0
			s.call.Logger = slog.New(countingHandler{&logged})
			_, end, err := s.run(nil)
			if c.ok {
				require.NoError(t, err)
				require.Equal(t, childFit, end)
				require.Equal(t, c.lines, logged)
				return
			}
			require.ErrorContains(t, err, "broke the protocol")
			require.Equal(t, c.lines-1, logged)
		})
	}
}

// A child asks for only so many files in one call. The library in it keeps to that.
func TestFileQuestions(t *testing.T) {
	t.Parallel()
	end := encoded(&resultMessage{Result: new(callback.Result)})
	stat, read := encoded(&statQuestion{"callbacks/x.js"}), encoded(&readQuestion{"callbacks/x.js"})
	most := bytes.Repeat(append(stat, read...), maxFileQuestions/2)

	s, _ := hostileSession(t, append(most, end...))
	_, _, err := s.run(nil)
	require.NoError(t, err)

	for _, question := range [][]byte{stat, read} {
		s, sent := hostileSession(t, append(append(slices.Clip(most), question...), end...))
		_, _, err := s.run(nil)
		require.ErrorContains(t, err, "broke the protocol")
		require.Len(t, replies(t, sent()), maxFileQuestions)
	}
}

type countingHandler struct{ records *int }

func (h countingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h countingHandler) Handle(context.Context, slog.Record) error {
	*h.records++
	return nil
}
func (h countingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h countingHandler) WithGroup(string) slog.Handler      { return h }

// A result past the deadline is not read. An error is, if it is short.
func TestLateResult(t *testing.T) {
	t.Parallel()
	late := func(frame []byte) (*callback.Result, ending, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		s, _ := hostileSession(t, frame)
		s.ctx = ctx
		return s.run(nil)
	}
	result, end, err := late(encoded(&resultMessage{Result: &callback.Result{Data: []callback.Field{{Name: "a", Value: []byte("{")}}}}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Nil(t, result)
	require.Equal(t, childFit, end)

	where := &callback.ScriptError{Script: "callbacks/x.js", Line: 3, Err: context.DeadlineExceeded}
	_, end, err = late(encoded(&resultMessage{Err: where}))
	require.Equal(t, where, err)
	require.Equal(t, childFit, end)

	long := []callback.Field{{Name: "a", Value: []byte(strings.Repeat("1", maxNotice))}}
	_, end, err = late(encoded(&resultMessage{Result: &callback.Result{Data: long}}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, childSpent, end, "no death to be logged")
}
