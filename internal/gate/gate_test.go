package gate_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/gate"
)

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestQueue refuses the first that is over the length of the queue.
func TestQueue(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			const places = 2
			g := new(gate.Gate)
			g.Open(places)
			for range places {
				require.NoError(t, g.Enter(canceled(), queue), "a free place needs no queue")
			}
			entered := 0
			for range queue {
				go func() {
					if g.Enter(t.Context(), queue) == nil {
						entered++
						g.Leave()
					}
				}()
			}
			synctest.Wait()
			require.EqualError(t, g.Enter(t.Context(), queue), fmt.Sprint(queue, " calls wait to run"))
			g.Leave()
			synctest.Wait()
			require.Equal(t, queue, entered)
			g.Leave()
		})
	}
}

// A passingContext passes a place on to whoever is about to wait.
type passingContext struct {
	context.Context
	pass func()
}

func (c passingContext) Done() <-chan struct{} {
	c.pass()
	return c.Context.Done()
}

// TestPlaceOfWaiterThatGivesUp: a place that comes as its waiter gives up is
// free afterwards. Whether the waiter takes it or gives up is chance, so it is
// tried often.
func TestPlaceOfWaiterThatGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(gate.Gate)
		g.Open(1)
		gaveUp := 0
		for range 200 {
			require.NoError(t, g.Enter(canceled(), 0), "the place is lost")
			err := g.Enter(passingContext{canceled(), func() {
				go g.Leave()
				synctest.Wait() // it has the place for the waiter
			}}, 1)
			if err != nil {
				gaveUp++
				continue
			}
			g.Leave()
		}
		require.Positive(t, gaveUp)
		require.Less(t, gaveUp, 200)
	})
}
