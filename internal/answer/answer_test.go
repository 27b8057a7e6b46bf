package answer_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/answer"
)

func TestHeld(t *testing.T) {
	t.Parallel()
	var held answer.Held
	held.Header().Set("X-A", "1")
	held.Header().Set("Content-Length", "5")
	held.WriteHeader(http.StatusEarlyHints)
	held.WriteHeader(http.StatusTeapot)
	held.WriteHeader(http.StatusOK)
	_, err := io.WriteString(&held, "first")
	require.NoError(t, err)
	held.Replace("text/plain", "second answer")
	w := httptest.NewRecorder()
	held.Send(w)
	require.Equal(t, http.StatusTeapot, w.Code)
	require.Equal(t, http.Header{"X-A": {"1"}, "Content-Type": {"text/plain"}}, w.Result().Header)
	require.Equal(t, "second answer", w.Body.String())

	w = httptest.NewRecorder()
	new(answer.Held).Send(w)
	require.Equal(t, http.StatusOK, w.Code)
}
