package hold_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/hold"
)

var alice, bob = hold.Owner{APIKey: "E3", Credential: "alice"}, hold.Owner{APIKey: "E3", Credential: "bob"}

// waiting is a Hold of so many bytes whose call waits for its caller. cut becomes
// true when it must go.
func waiting(t *testing.T, b *hold.Budget, owner hold.Owner, n int64) (h *hold.Hold, cut *bool) {
	t.Helper()
	h, cut = b.New(owner), new(bool)
	require.True(t, h.Take(n, 100))
	h.Wait(func() { *cut = true })
	return h, cut
}

func TestBound(t *testing.T) {
	t.Parallel()
	b := new(hold.Budget)
	h := b.New(alice)
	require.True(t, h.Take(100, 100))
	require.False(t, h.Take(1, 100))
	require.EqualValues(t, 100, b.Bytes())

	other := b.New(bob)
	require.True(t, other.Take(0, 100))
	require.False(t, other.Take(1, 100), "the other does not wait for its caller")
	h.Release()
	require.True(t, other.Take(100, 100))
	other.Release()
	require.Zero(t, b.Bytes())
}

// The owner that holds the most loses the oldest of what waits for a caller.
func TestWhoIsCut(t *testing.T) {
	t.Parallel()
	b := new(hold.Budget)
	_, bobs := waiting(t, b, bob, 30)
	_, oldest := waiting(t, b, alice, 20)
	_, next := waiting(t, b, alice, 20)
	runs := b.New(alice)
	require.True(t, runs.Take(30, 100))

	h := b.New(bob)
	require.True(t, h.Take(15, 100))
	require.Equal(t, []bool{true, false, false}, []bool{*oldest, *next, *bobs})
	require.EqualValues(t, 95, b.Bytes())

	require.True(t, h.Take(25, 100), "still alice has the most")
	require.Equal(t, []bool{true, true, false}, []bool{*oldest, *next, *bobs})

	require.True(t, h.Take(30, 100), "alice has nothing that waits")
	require.True(t, *bobs)
	require.True(t, runs.Resume())
	require.False(t, runs.Take(1, 100))
}

// What is cut holds nothing any more and takes nothing.
func TestCut(t *testing.T) {
	t.Parallel()
	b := new(hold.Budget)
	h, cut := waiting(t, b, alice, 60)
	other := b.New(bob)
	require.True(t, other.Take(60, 100))
	require.True(t, *cut)
	require.False(t, h.Take(1, 100))
	h.Wait(func() { t.Error("cut twice") })
	require.False(t, h.Resume())
	require.False(t, other.Take(41, 100))
	h.Release()
	require.EqualValues(t, 60, b.Bytes())
	other.Release()
}

// A call that goes on is not cut, nor is one for its own sake.
func TestResume(t *testing.T) {
	t.Parallel()
	b := new(hold.Budget)
	h, cut := waiting(t, b, alice, 60)
	require.False(t, h.Take(41, 100))
	require.True(t, h.Resume())
	other := b.New(bob)
	require.False(t, other.Take(41, 100))
	h.Wait(func() { *cut = true })
	require.False(t, *cut)
	require.True(t, other.Take(41, 100))
	require.True(t, *cut)
}

// Under load the bound is kept and everything is given back.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	b := new(hold.Budget)
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for range 500 {
				h, cut := b.New([]hold.Owner{alice, bob}[random.IntN(2)]), make(chan struct{})
				h.Wait(func() { close(cut) })
				for range random.IntN(5) {
					h.Take(random.Int64N(40), 100)
					if n := b.Bytes(); n > 100 {
						t.Errorf("%d bytes", n)
					}
				}
				if !h.Resume() {
					<-cut
				}
				h.Release()
			}
		})
	}
	calls.Wait()
	require.Zero(t, b.Bytes())
}
