package sandbox

import (
	"bufio"
	"bytes"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/host"
)

func TestOutboundLimits(t *testing.T) {
	t.Parallel()
	var o outbound
	cancelled := map[uint64]bool{}
	begin := func(number uint64, bytes int) error {
		return o.begin(number, &outboundRequest{func() { cancelled[number] = true }, bytes})
	}
	for i := range uint64(maxRequests) {
		require.NoError(t, begin(i, 1))
	}
	require.Equal(t, errFrame, begin(maxRequests, 1))
	sent := 0
	end := func(number uint64) { require.NoError(t, o.end(number, func() error { sent++; return nil })) }
	end(0)
	end(0) // has been replied to
	end(999)
	require.Equal(t, 1, sent)
	require.True(t, cancelled[0])
	require.Equal(t, errFrame, begin(1, 1), "a number that is taken")
	require.NoError(t, begin(0, maxRequestBytes-(maxRequests-1)))
	end(1)
	require.ErrorIs(t, begin(1, 2), host.ErrRequestTooLarge)
	require.NoError(t, begin(1, 1))

	o.close()
	for i := range uint64(maxRequests) {
		require.True(t, cancelled[i])
	}
	end(5)
	require.Equal(t, 2, sent, "nothing is sent once the call is over")
}

// A child waits while it has outbound requests or a function of the host runs for it.
func TestWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := session{ctx: t.Context(), child: new(child)}
		o := &s.outbound
		begin := func(number uint64) { require.NoError(t, o.begin(number, &outboundRequest{cancel: func() {}})) }
		end := func(number uint64) { require.NoError(t, o.end(number, func() error { return nil })) }
		begin(1)
		time.Sleep(time.Second)
		begin(2)
		time.Sleep(time.Second)
		end(1)
		end(1)
		require.NoError(t, s.waitForHost(func() { time.Sleep(time.Second) }))
		end(2)
		time.Sleep(time.Second)
		require.NoError(t, s.waitForHost(func() { time.Sleep(time.Second) }))
		begin(3)
		time.Sleep(time.Second)
		o.close()
		time.Sleep(time.Second)
		end(3)
		require.Equal(t, 5*time.Second, o.waited())
	})
}

// Goroutines that wait for replies read them for each other, in any order.
func TestInbox(t *testing.T) {
	t.Parallel()
	const requests = 50
	w := &worker{inbox: newInbox()}
	var frames bytes.Buffer
	numbers := map[uint64]chan frame{}
	for range requests {
		number, mine, ok := w.inbox.begin()
		require.True(t, ok)
		numbers[number] = mine
	}
	for number := uint64(requests); number > 0; number-- { // the last comes first
		var e encoder
		require.NoError(t, e.send(&frames, &httpReply{Number: number, Status: int(number)}, fromParent))
		if number == requests/2 {
			require.NoError(t, e.send(&frames, &statReply{}, fromParent))
		}
	}
	w.from = bufio.NewReader(&frames)
	var waiting sync.WaitGroup
	for number, mine := range numbers {
		waiting.Go(func() {
			f := w.await(mine)
			var reply httpReply
			d := &decoder{b: f.payload, trusted: true}
			reply.decode(d)
			if d.done() != nil || reply.Status != int(number) {
				t.Errorf("request %d got the reply %d", number, reply.Number)
			}
			w.inbox.end(number)
		})
	}
	require.Equal(t, kindReply, w.await(w.inbox.reply).kind)
	w.inbox.close() // waits for all
	waiting.Wait()
	_, _, ok := w.inbox.begin()
	require.False(t, ok, "the call is over")
	w.inbox.open()
	number, _, ok := w.inbox.begin()
	require.True(t, ok)
	require.Equal(t, uint64(requests+1), number)
}
