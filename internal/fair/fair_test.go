package fair_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/fair"
)

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func key(name string) fair.Key { return fair.Key{APIKey: "k", Credential: name} }

// places are Places that remember which are held.
type places struct {
	fair.Places
	mu   sync.Mutex
	held map[fair.Key][]fair.Place
}

// open opens places with so many processors that their number does not matter.
func open(shared, reserve int) *places { return openOn(shared, reserve, 1000) }

func openOn(shared, reserve, processors int) *places {
	p := &places{held: map[fair.Key][]fair.Place{}}
	p.Open(shared, reserve, processors)
	return p
}

func (p *places) hold(key fair.Key, place fair.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[key] = append(p.held[key], place)
}

func (p *places) TryEnter(key fair.Key) bool {
	place, ok := p.Places.TryEnter(key)
	if ok {
		p.hold(key, place)
	}
	return ok
}

func (p *places) Enter(ctx context.Context, key fair.Key, queue int) error {
	place, err := p.Places.Enter(ctx, key, queue)
	if err == nil {
		p.hold(key, place)
	}
	return err
}

// Leave gives back the place that the credential has held the longest.
func (p *places) Leave(key fair.Key) { p.Places.Leave(p.first(key)) }

func (p *places) first(key fair.Key) fair.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.held[key][0]
	p.held[key] = p.held[key][1:]
	return first
}

// use has a credential call once. The call holds a place for a time, and computes
// for some of it.
func (p *places) use(t *testing.T, name string, held, computed time.Duration) {
	t.Helper()
	require.True(t, p.TryEnter(key(name)))
	time.Sleep(held)
	p.LeaveComputed(p.first(key(name)), computed, 0)
}

// enter has a credential take places.
func (p *places) enter(t *testing.T, name string, n int) {
	t.Helper()
	for range n {
		require.True(t, p.TryEnter(key(name)))
	}
}

// cancel has a credential give back places in which nothing has run.
func (p *places) cancel(name string, n int) {
	for range n {
		p.Cancel(p.first(key(name)))
	}
}

// A credential alone may hold every shared place. It gets none in reserve, because
// it holds others.
func TestAlone(t *testing.T) {
	t.Parallel()
	p := open(3, 2)
	for range 3 {
		require.True(t, p.TryEnter(key("a")))
	}
	require.False(t, p.TryEnter(key("a")))
	require.Error(t, p.Enter(canceled(), key("a"), 10))
	p.Leave(key("a"))
	require.True(t, p.TryEnter(key("a")))
}

// A credential that holds nothing gets a place at once while there is one in
// reserve, half of which are for those that are known to be quick.
func TestReserve(t *testing.T) {
	t.Parallel()
	p := open(2, 4)
	require.True(t, p.TryEnter(key("a")))
	require.True(t, p.TryEnter(key("a")))
	require.True(t, p.TryEnter(key("b")))
	require.False(t, p.TryEnter(key("b")), "it holds one")
	require.True(t, p.TryEnter(fair.Key{APIKey: "other", Credential: "a"}), "of another game")
	require.False(t, p.TryEnter(key("c")), "none is left")
	p.Leave(key("a")) // now the places in reserve count as shared ones
	require.True(t, p.TryEnter(key("c")))
	require.False(t, p.TryEnter(key("a")))

	none := open(1, -1)
	require.True(t, none.TryEnter(key("a")))
	require.False(t, none.TryEnter(key("b")))
}

// A place goes to the waiting credential that holds the fewest, and in turn among
// those that hold as many.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(3, 0)
		for _, name := range []string{"a", "b", "c", "d"} { // all are as quick
			require.True(t, p.TryEnter(key(name)))
			p.Leave(key(name))
		}
		for _, name := range []string{"a", "a", "b"} {
			require.True(t, p.TryEnter(key(name)))
		}
		var order []string
		for _, name := range []string{"a", "a", "a", "b", "b", "c", "c", "d"} {
			go func() {
				if assert.NoError(t, p.Enter(t.Context(), key(name), math.MaxInt)) {
					order = append(order, name)
				}
			}()
			synctest.Wait()
		}
		leave := func(name string) {
			p.Leave(key(name))
			synctest.Wait()
		}
		leave("a") // a 1, b 1
		require.Equal(t, []string{"c"}, order)
		leave("a") // b 1, c 1
		require.Equal(t, []string{"c", "a"}, order[:2], "a has waited longer than d")
		leave("b") // c 1, a 1
		require.Equal(t, "b", order[2])
		leave("c") // a 1, b 1
		require.Equal(t, "d", order[3])
		leave("d")
		require.Equal(t, "c", order[4])
		leave("c") // a 1, b 1, and both wait
		require.Equal(t, "a", order[5])
		leave("a")
		leave("a")
		leave("b")
		require.Equal(t, []string{"b", "a"}, order[6:])
		waiting, used := p.Waiting()
		require.Zero(t, waiting)
		require.Equal(t, 2, used)
	})
}

// Slow credentials, and new ones, however many, leave to the quick ones half of the
// places in reserve, and the next place that becomes free.
func TestQuick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const quick, slow = 500 * time.Millisecond, 500*time.Millisecond + 1
		p := open(1, 2)
		run := func(name string, d time.Duration) {
			require.True(t, p.TryEnter(key(name)))
			time.Sleep(d)
			p.Leave(key(name))
		}
		for _, name := range []string{"a", "b"} {
			run(name, slow)
			run(name, 0)
		}
		run("c", 0)
		run("c", 4*slow)
		run("once", slow)
		run("quick", quick)
		run("outlier", 0)
		run("outlier", 4*quick)
		require.True(t, p.TryEnter(key("a")))
		require.False(t, p.TryEnter(key("a")))
		require.True(t, p.TryEnter(key("b")), "half of the reserve")
		require.False(t, p.TryEnter(key("c")), "the other half")
		require.False(t, p.TryEnter(key("new")), "the other half")
		require.True(t, p.TryEnter(key("outlier")))
		p.Leave(key("outlier"))
		require.True(t, p.TryEnter(key("quick")))
		require.False(t, p.TryEnter(key("quick")), "it holds one")

		var order []string
		for _, name := range []string{"c", "new", "quick"} {
			go func() {
				assert.NoError(t, p.Enter(t.Context(), key(name), 3))
				order = append(order, name)
			}()
			synctest.Wait()
		}
		leave := func(name string) []string {
			p.Leave(key(name))
			synctest.Wait()
			return order
		}
		require.Equal(t, []string{"quick"}, leave("quick"))
		require.Equal(t, []string{"quick"}, leave("a"), "half of the reserve is free, and not for them")
		require.Equal(t, []string{"quick", "new"}, leave("b"), "it may be quick")
		require.Equal(t, []string{"quick", "new", "c"}, leave("quick"))

		require.True(t, p.TryEnter(key("quick")))
		require.False(t, p.TryEnter(key("a")), "still slow")
		p.Leave(key("quick"))
		time.Sleep(5 * time.Minute)
		require.False(t, p.TryEnter(key("once")), "it has never been quick")
		require.True(t, p.TryEnter(key("a")))
		p.Leave(key("a"))
		require.True(t, p.TryEnter(key("a")), "it is as one that is new")
	})
}

// Among those that hold as few, a place goes to the one that holds it for less time.
func TestOrderByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(1, 0)
		for _, run := range []struct {
			name string
			d    time.Duration
		}{{"400 ms", 400 * time.Millisecond}, {"41 ms", 41 * time.Millisecond}, {"40 ms", 40 * time.Millisecond}, {"10 ms", 10 * time.Millisecond}, {"0", 0}} {
			require.True(t, p.TryEnter(key(run.name)))
			time.Sleep(run.d)
			p.Leave(key(run.name))
		}
		require.True(t, p.TryEnter(key("x")))
		var order []string
		for _, name := range []string{"new", "400 ms", "41 ms", "40 ms", "10 ms", "0"} {
			go func() {
				assert.NoError(t, p.Enter(t.Context(), key(name), math.MaxInt))
				order = append(order, name)
				p.Leave(key(name))
			}()
			synctest.Wait()
		}
		p.Leave(key("x"))
		synctest.Wait()
		require.Equal(t, []string{"10 ms", "0", "new", "40 ms", "400 ms", "41 ms"}, order)
	})
}

// A credential may become slow or quick while it waits. It is then served as its new
// class is, so one that may not have a place does not block one that may.
func TestClassChangesInTheQueue(t *testing.T) {
	t.Parallel()
	const slow, quick = 10 * time.Second, time.Millisecond
	for name, test := range map[string]struct {
		before func(use func(name string, d time.Duration))
		holds  string        // the credential that has a place beside three others
		free   string        // one of the others, whose place becomes free first; or none
		wait   []string      // in this order
		after  time.Duration // when the place becomes free
		want   string
	}{
		"becomes slow": {
			before: func(use func(string, time.Duration)) { use("a", quick); use("b", 20*quick) },
			holds:  "a", wait: []string{"a", "b"}, after: slow, want: "b",
		},
		"becomes quick": {
			before: func(func(string, time.Duration)) {},
			holds:  "new", wait: []string{"unknown", "new"}, after: quick, want: "new",
		},
		"was slow long ago": {
			before: func(use func(string, time.Duration)) {
				use("once", slow)
				time.Sleep(4 * time.Minute)
				use("still", slow)
				time.Sleep(50*time.Second - quick) // it ends 5 minutes after the first
			},
			holds: "a", free: "x", wait: []string{"still", "once"}, after: 2 * quick, want: "once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := open(2, 2)
				use := func(name string, d time.Duration) {
					require.True(t, p.TryEnter(key(name)))
					time.Sleep(d)
					p.Leave(key(name))
				}
				for _, name := range []string{"x", "y", "z"} {
					use(name, quick)
				}
				test.before(use)
				for _, name := range []string{test.holds, "x", "y", "z"} {
					require.True(t, p.TryEnter(key(name)))
				}
				ctx, cancel := context.WithCancel(t.Context())
				var served []string
				for _, name := range test.wait {
					go func() {
						if p.Enter(ctx, key(name), math.MaxInt) == nil {
							served = append(served, name)
						}
					}()
					synctest.Wait()
				}
				time.Sleep(test.after)
				if test.free != "" {
					p.cancel(test.free, 1)
				}
				p.Leave(key(test.holds))
				synctest.Wait()
				require.Equal(t, []string{test.want}, served)
				cancel()
			})
		})
	}
}

const (
	lightTime  = 10 * time.Millisecond  // the most that is light
	mediumTime = 500 * time.Millisecond // the most that is not slow
	slowTime   = mediumTime + 1
)

// While a light credential calls, and for a minute after that, slow ones have half of
// the processors. Otherwise they may have all places.
func TestSlowOnesLeaveProcessors(t *testing.T) {
	t.Parallel()
	for processors, most := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 9: 4} {
		synctest.Test(t, func(t *testing.T) {
			p := openOn(8, 2, processors)
			p.use(t, "light", lightTime, math.MaxInt64) // all the time
			p.use(t, "slow", slowTime, slowTime)
			p.use(t, "slow too", slowTime, slowTime)
			p.enter(t, "slow", 8) // since no light one has called yet
			p.cancel("slow", 8)

			p.enter(t, "light", 1)
			p.cancel("light", 1)
			p.enter(t, "slow", most)
			require.False(t, p.TryEnter(key("slow")))
			require.False(t, p.TryEnter(key("slow too")), "though it holds none")
			p.enter(t, "unknown", 1)
			p.enter(t, "light", 1)

			time.Sleep(time.Minute - time.Nanosecond)
			require.False(t, p.TryEnter(key("slow")))
			time.Sleep(time.Nanosecond)
			p.enter(t, "slow", 8-most-2)
			require.False(t, p.TryEnter(key("slow")), "all places are taken")
		})
	}
}

// Those that are neither light nor slow have what the slow ones leave of all
// processors but one, and at least one.
func TestOthersLeaveAProcessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ processors, slow, most int }{{1, 0, 1}, {1, 1, 1}, {2, 0, 1}, {2, 1, 1}, {4, 0, 3}, {4, 1, 2}, {4, 2, 1}} {
			p := openOn(8, 2, test.processors)
			p.use(t, "short", lightTime+1, lightTime+1)
			p.use(t, "long", mediumTime, mediumTime)
			p.use(t, "slow", slowTime, slowTime)
			p.use(t, "light", lightTime, lightTime)
			p.enter(t, "light", 1)
			p.enter(t, "slow", test.slow)
			for i := range test.most {
				p.enter(t, []string{"short", "long"}[i%2], 1)
			}
			for _, name := range []string{"short", "long"} {
				require.False(t, p.TryEnter(key(name)), "%s of %+v", name, test)
			}
		}
	})
}

// A credential that holds a place for long without computing takes no processor
// from others, and a light one none from itself.
func TestThoseThatNeedNoProcessorLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openOn(8, 2, 2)
		p.use(t, "waits", time.Hour, lightTime)
		p.use(t, "computes", time.Hour, time.Hour)
		p.enter(t, "waits", 5) // which is a call of a light one
		p.enter(t, "computes", 1)
		require.False(t, p.TryEnter(key("computes")))
		p.enter(t, "waits", 2)

		p = openOn(8, 2, 2)
		p.use(t, "becomes slow", 0, 0)
		p.use(t, "becomes slow", 10*time.Second, 10*time.Second)
		p.enter(t, "becomes slow", 8)
	})
}

// A call that waits for the host in its place needs a processor for the rest of the
// time. One that waits for a processor needs it.
func TestShareOfAProcessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, computed := range []time.Duration{2 * lightTime, 2 * slowTime} { // short, slow
			p := openOn(100, 2, 2)
			p.use(t, "light", lightTime, lightTime)
			p.enter(t, "waits", 1)
			time.Sleep(20 * computed)
			p.LeaveComputed(p.first(key("waits")), computed, 19*computed)
			p.use(t, "computes", 20*computed, computed)
			p.enter(t, "light", 1)
			p.enter(t, "waits", 10) // half a processor
			p.enter(t, "computes", 1)
			require.False(t, p.TryEnter(key("computes")))
			require.False(t, p.TryEnter(key("waits")))
			p.cancel("computes", 1)
			p.enter(t, "waits", 1)
			require.False(t, p.TryEnter(key("waits")), "less than half a processor is left")
		}
	})
}

// One that may not compute yet does not keep others waiting, and gets its turn.
func TestWaitsForAProcessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openOn(4, 2, 2)
		p.use(t, "light", lightTime, lightTime)
		p.use(t, "slow", slowTime, slowTime)
		p.use(t, "slow too", slowTime, slowTime)
		p.enter(t, "light", 3)
		p.enter(t, "slow", 1)
		var order []string
		for _, name := range []string{"slow too", "slow too", "light", "light"} {
			go func() {
				assert.NoError(t, p.Enter(t.Context(), key(name), 4))
				order = append(order, name)
			}()
			synctest.Wait()
		}
		leave := func(name string) []string {
			p.cancel(name, 1)
			synctest.Wait()
			return order
		}
		require.Equal(t, []string{"light"}, leave("light"), "though it holds more")
		require.Equal(t, []string{"light", "slow too"}, leave("slow"))
		time.Sleep(time.Minute)
		require.Equal(t, []string{"light", "slow too", "slow too"}, leave("light"), "the minute is over")
		require.Equal(t, []string{"light", "slow too", "slow too", "light"}, leave("slow too"))
	})
}

// One that no longer computes for long while it waits does not wait behind those
// that do.
func TestComputesForLongNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := openOn(4, 2, 2)
		p.use(t, "light", lightTime, lightTime)
		p.use(t, "x", slowTime, slowTime)
		p.use(t, "x", lightTime, lightTime) // which makes its typical time shorter
		time.Sleep(time.Minute)
		p.use(t, "y", slowTime, slowTime)
		p.use(t, "y", 2*time.Minute, lightTime) // so it is slow only in how long it holds a place
		p.use(t, "slow", slowTime, slowTime)
		p.use(t, "slow too", slowTime, slowTime)
		p.enter(t, "light", 3)
		p.enter(t, "slow", 1)
		var order []string
		for _, name := range []string{"slow too", "x", "y"} {
			go func() {
				assert.NoError(t, p.Enter(t.Context(), key(name), 4))
				order = append(order, name)
			}()
			synctest.Wait()
		}
		minute := func() {
			time.Sleep(30 * time.Second)
			require.False(t, p.TryEnter(key("light")), "it only calls")
			time.Sleep(30 * time.Second)
			p.cancel("light", 1)
			synctest.Wait()
		}
		minute()
		require.Empty(t, order)
		p.enter(t, "light", 1)
		minute()
		require.Equal(t, []string{"x"}, order)
		p.cancel("x", 1)
		p.enter(t, "light", 1)
		minute()
		require.Equal(t, []string{"x", "y"}, order)
		p.cancel("slow", 1)
		synctest.Wait()
		require.Equal(t, []string{"x", "y", "slow too"}, order)
	})
}

// The first that is over the length of the queue is refused, unless its credential
// has nothing.
func TestQueue(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{0, 1, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := open(2, 0)
			for range 2 {
				require.NoError(t, p.Enter(canceled(), key("a"), queue), "a free place needs no queue")
			}
			entered := 0
			for range queue {
				go func() {
					if p.Enter(t.Context(), key("a"), queue) == nil {
						entered++
						p.Leave(key("a"))
					}
				}()
			}
			synctest.Wait()
			require.EqualError(t, p.Enter(t.Context(), key("a"), queue), fmt.Sprint(queue, " calls wait to run"))
			require.EqualError(t, p.Enter(t.Context(), key("b"), queue), fmt.Sprint(queue, " calls wait to run"))
			p.Leave(key("a"))
			synctest.Wait()
			require.Equal(t, queue, entered)
			p.Leave(key("a"))
		})
	}
}

func TestQueueOfNewcomers(t *testing.T) {
	t.Parallel()
	for _, queue := range []int{0, -1} { // below zero is as zero
		synctest.Test(t, func(t *testing.T) {
			p := open(1, 2)
			for _, name := range []string{"c", "b", "a"} {
				require.True(t, p.TryEnter(key(name)))
				if name == "c" {
					p.Leave(key(name)) // and so it is known to be quick
				}
			}
			require.True(t, p.TryEnter(key("c")))
			ctx, cancel := context.WithCancel(t.Context())
			for _, name := range []string{"d", "e"} {
				go func() { assert.Error(t, p.Enter(ctx, key(name), queue)) }()
				synctest.Wait()
				require.EqualError(t, p.Enter(canceled(), key(name), queue), "0 calls wait to run", "one of it waits already")
			}
			waiting, _ := p.Waiting()
			require.Equal(t, 2, waiting, "as many as there are places in reserve")
			require.EqualError(t, p.Enter(t.Context(), key("f"), queue), "0 calls wait to run")
			require.EqualError(t, p.Enter(t.Context(), key("d"), queue), "0 calls wait to run")
			require.EqualError(t, p.Enter(t.Context(), key("a"), queue), "0 calls wait to run")
			cancel()
			synctest.Wait()
			waiting, _ = p.Waiting()
			require.Zero(t, waiting)
		})
	}
}

// A passingContext is done. It runs pass when a caller begins to wait for it.
type passingContext struct {
	context.Context
	pass func()
}

func (c passingContext) Done() <-chan struct{} {
	c.pass()
	return c.Context.Done()
}

// A place that comes as the waiter gives up is not lost.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	for range 100 { // which of two channels select takes is random
		p := open(1, 0)
		require.True(t, p.TryEnter(key("a")))
		ctx := passingContext{canceled(), func() { p.Leave(key("a")) }}
		if p.Enter(ctx, key("b"), 1) == nil {
			p.Leave(key("b"))
		}
		waiting, used := p.Waiting()
		require.Zero(t, waiting)
		require.Zero(t, used)
		require.True(t, p.TryEnter(key("c")))
	}
}

// No place is lost or made, whoever comes, waits and gives up.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const shared, reserve = 3, 2
	p := open(shared, reserve)
	var inside, most atomic.Int64
	var calls sync.WaitGroup
	for i := range 16 {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 2000 {
				k := key(fmt.Sprint(random.IntN(5)))
				ctx := t.Context()
				if random.IntN(2) == 0 {
					ctx = canceled()
				}
				if p.Enter(ctx, k, 8) != nil {
					continue
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inside.Add(-1)
				p.Leave(k)
			}
		})
	}
	calls.Wait()
	require.LessOrEqual(t, most.Load(), int64(shared+reserve))
	waiting, used := p.Waiting()
	require.Zero(t, waiting)
	require.Zero(t, used)
	for range shared {
		require.True(t, p.TryEnter(key("a")))
	}
}

// Credentials that are gone do not take memory.
func TestManyCredentials(t *testing.T) {
	t.Parallel()
	p := open(2, 0)
	require.True(t, p.TryEnter(key("stays")))
	for i := range 10000 {
		k := key(fmt.Sprint(i))
		require.True(t, p.TryEnter(k))
		p.Leave(k)
	}
	require.Less(t, p.Remembered(), 2000)
	require.True(t, p.TryEnter(key("stays")))
	require.False(t, p.TryEnter(key("stays")), "it still holds its first")

	few := open(1, -2000)
	for i := range 10 {
		k := key(fmt.Sprint(i))
		require.True(t, few.TryEnter(k))
		few.Leave(k)
	}
	require.Equal(t, 10, few.Remembered(), "there is no need to forget so few")
}

// A credential that waits is not forgotten, however many others come.
func TestManyCredentialsBesideOneThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := open(1, 2)
		require.True(t, p.TryEnter(key("a")))
		require.True(t, p.TryEnter(key("c")))
		entered := make(chan error, 1)
		go func() { entered <- p.Enter(t.Context(), key("b"), 1) }()
		synctest.Wait()
		for i := range 10000 {
			require.False(t, p.TryEnter(key(fmt.Sprint(i))))
		}
		p.Leave(key("c"))
		require.NoError(t, <-entered)
		p.Leave(key("a"))
		require.False(t, p.TryEnter(key("b")), "it holds one, so it has no right to one in reserve")
		p.Leave(key("b"))
		require.True(t, p.TryEnter(key("b")))
	})
}

func TestAllocations(t *testing.T) {
	p, k := open(2, 2), key("a")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		place, _ := p.Places.TryEnter(k)
		p.Places.Leave(place)
	}))
}

func BenchmarkEnterLeave(b *testing.B) {
	p := open(2, 2)
	k := fair.Key{APIKey: "E300018ZDdAx", Credential: "hello"}
	for b.Loop() {
		place, _ := p.Places.TryEnter(k)
		p.Places.Leave(place)
	}
}
