package sandbox

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/testkit"
)

// What the parent holds for one call at most: the bodies of outbound requests, and the
// answers to them that the child does not read, by the Handler's default limits. It
// is not parallel, so that nothing else is in memory.
func TestParentMemoryOfCall(t *testing.T) {
	testkit.SkipUnderRace(t, "with it, code allocates more")
	const answers, answer = 20, 4 << 20
	unread, sent, err := os.Pipe()
	require.NoError(t, err)
	defer sent.Close()
	fromChild, child := io.Pipe()
	var begun, answered sync.WaitGroup
	begun.Add(maxRequestBytes/limit.RequestBody + answers)
	answered.Add(answers)
	allBegun := make(chan struct{}) // while an answer is sent, no request begins
	s := parentOf(t.Context(), pipeTo(t, sent), nil)
	s.child.from = bufio.NewReader(fromChild)
	s.call.HTTP = callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		begun.Done()
		if req.Method == http.MethodPost {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		defer answered.Done()
		<-allBegun
		return &http.Response{StatusCode: 200, Body: host.NewBody(make([]byte, answer))}, nil
	})
	before := testkit.Heap()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = s.run(nil)
	}()
	number := uint64(0)
	ask := func(m httpQuestion) {
		number++
		m.Number, m.URL, m.Timeout = number, "http://x.example/", time.Minute
		_, err := child.Write(encoded(&m))
		require.NoError(t, err)
	}
	for range maxRequestBytes / limit.RequestBody {
		ask(httpQuestion{Method: "POST", HasBody: true, Body: make([]byte, limit.RequestBody)})
	}
	for range answers {
		ask(httpQuestion{Method: "GET"})
	}
	begun.Wait()
	close(allBegun)
	answered.Wait()
	held := testkit.Heap() - before
	unread.Close()
	child.Close()
	<-ended
	t.Logf("the parent holds %d MiB", held>>20)
	const most = maxRequestBytes + answers*answer
	require.Greater(t, held, int64(most/10*9))
	require.Less(t, held, int64(most+2*answer), "with what is being sent")
}
