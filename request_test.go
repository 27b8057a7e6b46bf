package callback_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A countedBody is a request's body that notes how much room it is offered first.
type countedBody struct {
	io.Reader
	room int
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.room = max(b.room, len(p))
	return b.Reader.Read(p)
}

// TestRoomForBodies: neither what a request announces nor what another one has
// sent makes room for more than a small body.
func TestRoomForBodies(t *testing.T) {
	t.Parallel()
	const small, large = 64 << 10, 4 << 20
	h, _ := httpHandler(`Spark.setScriptData("n", Spark.getData().REQUEST_BODY.length)`)
	send := func(body string, announced int64) (answer string, room int) {
		counted := &countedBody{Reader: strings.NewReader(body)}
		r := httptest.NewRequest("POST", helloURL, counted)
		r.ContentLength = announced
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Body.String(), counted.room
	}
	for _, announced := range []int64{large, small, -1} {
		answer, room := send("", announced)
		require.Equal(t, `{"n":0}`, answer)
		require.LessOrEqual(t, room, 2*small, "%d are announced", announced)
	}
	answer, room := send(strings.Repeat("x", large), large)
	require.Equal(t, `{"n":4194304}`, answer)
	require.Greater(t, room, 2*small)
	for range 10 {
		_, room = send("x", 1)
		require.LessOrEqual(t, room, 2*small, "the room of the large body is kept")
	}
}
