package callback_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// A database is a SecretStore that can change, fail, hang and count.
type database struct {
	mu      sync.Mutex
	secrets map[string][]string // by "apiKey/credential"
	err     error
	hang    bool
	asked   map[string]int
}

func newDatabase(secrets map[string][]string) *database {
	return &database{secrets: secrets, asked: map[string]int{}}
}

func (d *database) Secrets(ctx context.Context, apiKey, credential string) ([]callback.Secret, error) {
	d.mu.Lock()
	name := apiKey + "/" + credential
	d.asked[name]++
	hang, err := d.hang, d.err
	var secrets []callback.Secret
	for _, s := range d.secrets[name] {
		secrets = append(secrets, callback.NewSecret(s))
	}
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return secrets, nil
}

func (d *database) set(f func(*database)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *database) count() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := maps.Clone(d.asked)
	clear(d.asked)
	return asked
}

// cached runs f with a synctest clock, over a Handler with a cache.
func cached(t *testing.T, c *callback.SecretCache, f func(t *testing.T, db *database, status func(path string) int)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(map[string][]string{"E3/hello": {"old"}})
		if c == nil {
			c = new(callback.SecretCache)
		}
		log := new(testkit.Log)
		c.Store, c.Logger = db, log.Logger()
		h := &callback.Handler{
			Secrets: c,
			Logger:  log.Logger(),
			Runner:  runnerFunc(func(context.Context, *callback.Call) error { return nil }),
		}
		f(t, db, func(path string) int { return get(t, h, "/callback/"+path).Code })
		require.Empty(t, leaks(log.String()))
	})
}

func TestSecretCacheTTL(t *testing.T) {
	cached(t, nil, func(t *testing.T, db *database, status func(string) int) {
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, map[string]int{"E3/": 1, "E3/hello": 1}, db.count())
		for range 4 { // never sliding
			time.Sleep(6 * time.Second)
			require.Equal(t, 200, status("E3/hello/old"))
		}
		require.Equal(t, map[string]int{"E3/": 4}, db.count(), "that there is no server secret is remembered for 5 s")

		db.set(func(d *database) { d.secrets["E3/hello"] = []string{"new"} })
		time.Sleep(6*time.Second - time.Nanosecond)
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 403, status("E3/hello/new"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 403, status("E3/hello/old"))
		require.Equal(t, 200, status("E3/hello/new"))

		db.set(func(d *database) { delete(d.secrets, "E3/hello") })
		time.Sleep(30 * time.Second)
		require.Equal(t, 403, status("E3/hello/new"))
		db.count()
		db.set(func(d *database) { d.secrets["E3/hello"] = []string{"back"} })
		time.Sleep(5*time.Second - time.Nanosecond)
		require.Equal(t, 403, status("E3/hello/back"))
		require.Empty(t, db.count()["E3/hello"])
		time.Sleep(time.Nanosecond)
		require.Equal(t, 200, status("E3/hello/back"))
	})
}

func TestSecretCacheStoreDown(t *testing.T) {
	cached(t, &callback.SecretCache{MaxStale: time.Minute}, func(t *testing.T, db *database, status func(string) int) {
		// The server secret exists, so that its look-up does not fail first.
		db.set(func(d *database) { d.secrets["E3/"] = []string{"srv"} })
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 403, status("E3/none/x"))
		db.set(func(d *database) { d.err = errors.New("connection refused") })
		require.Equal(t, 403, status("E3/none/x"), "the store has not been seen to fail")
		require.Equal(t, 503, status("E4/hello/x"))
		require.Equal(t, 503, status("E3/none/x"), "the store fails")
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 403, status("E3/hello/wrong"))
		time.Sleep(90*time.Second - time.Nanosecond)
		require.Equal(t, 200, status("E3/hello/old"))
		db.count()
		require.Equal(t, 200, status("E3/hello/old"))
		require.Empty(t, db.count(), "it is asked once a second")
		time.Sleep(time.Nanosecond)
		require.Equal(t, 503, status("E3/hello/old"))
		db.set(func(d *database) { d.err = nil })
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 403, status("E3/none/x"))
	})
}

// TestSecretCacheRevoked: a secret that the store has revoked is not used again
// when the store fails.
func TestSecretCacheRevoked(t *testing.T) {
	cached(t, &callback.SecretCache{MaxStale: time.Hour}, func(t *testing.T, db *database, status func(string) int) {
		db.set(func(d *database) { d.secrets["E3/"] = []string{"srv"} })
		require.Equal(t, 200, status("E3/hello/old"))
		db.set(func(d *database) { delete(d.secrets, "E3/hello") })
		time.Sleep(30 * time.Second)
		require.Equal(t, 403, status("E3/hello/old"))
		db.set(func(d *database) { d.err = errors.New("connection refused") })
		time.Sleep(5 * time.Second)
		require.Equal(t, 503, status("E3/hello/old"))
	})
}

// TestSecretCacheLogsOnce: calls that wait for the same look-up log its failure
// once.
func TestSecretCacheLogsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(map[string][]string{"E3/hello": {"old"}})
		log := new(testkit.Log)
		c := &callback.SecretCache{Store: db, MaxStale: time.Hour, Logger: log.Logger()}
		_, err := c.Secrets(t.Context(), "E3", "hello")
		require.NoError(t, err)
		db.set(func(d *database) { d.hang = true })
		for n := range 3 {
			time.Sleep(time.Minute)
			var calls sync.WaitGroup
			for range 10 {
				calls.Go(func() {
					secrets, err := c.Secrets(t.Context(), "E3", "hello")
					require.EqualError(t, err, "callback: secret store does not answer")
					require.Len(t, secrets, 1)
				})
			}
			calls.Wait()
			require.Equal(t, n+1, strings.Count(log.String(), "known secrets stay in use"))
		}
		time.Sleep(10 * time.Second) // the last look-up ends
	})
}

// TestSecretCacheNames: an API key and a credential are not confused with others that
// are equal when joined.
func TestSecretCacheNames(t *testing.T) {
	t.Parallel()
	c := &callback.SecretCache{Store: newDatabase(map[string][]string{"E3/hello": {"s"}})}
	for _, name := range [][2]string{{"E3", "hello"}, {"oE3", "hell"}, {"3", "helloE"}, {"helloE3", ""}} {
		secrets, err := c.Secrets(t.Context(), name[0], name[1])
		require.NoError(t, err)
		require.Equal(t, name[0] == "E3", len(secrets) == 1, name)
	}
}

// TestSecretCacheCopies: what a store does later with the slice that it returned
// does not change the cached answer.
func TestSecretCacheCopies(t *testing.T) {
	t.Parallel()
	returned := []callback.Secret{callback.NewSecret("s")}
	c := &callback.SecretCache{Store: storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { return returned, nil })}
	for range 2 {
		secrets, err := c.Secrets(t.Context(), "E3", "hello")
		require.NoError(t, err)
		require.Equal(t, []callback.Secret{callback.NewSecret("s")}, secrets)
		returned[0] = callback.NewSecret("other")
	}
}

func TestSecretCacheNotStaleByDefault(t *testing.T) {
	cached(t, nil, func(t *testing.T, db *database, status func(string) int) {
		require.Equal(t, 200, status("E3/hello/old"))
		db.set(func(d *database) { d.err = errors.New("connection refused") })
		time.Sleep(30 * time.Second)
		require.Equal(t, 503, status("E3/hello/old"))
	})
}

// TestSecretCacheStoreHangs: a call with a known secret waits for at most a second,
// and only the first such call waits.
func TestSecretCacheStoreHangs(t *testing.T) {
	cached(t, &callback.SecretCache{MaxStale: time.Hour}, func(t *testing.T, db *database, status func(string) int) {
		db.set(func(d *database) { d.secrets["E3/"] = []string{"srv"} })
		require.Equal(t, 200, status("E3/hello/old"))
		db.set(func(d *database) { d.hang = true })
		time.Sleep(31 * time.Second)
		start := time.Now()
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 2*time.Second, time.Since(start), "a second for each of the two look-ups")
		require.Equal(t, 200, status("E3/hello/old"))
		require.Equal(t, 2*time.Second, time.Since(start))
		db.set(func(d *database) { d.hang = false })
		time.Sleep(20 * time.Second)
		db.set(func(d *database) { d.secrets["E3/hello"] = []string{"new"} })
		require.Equal(t, 200, status("E3/hello/new"))
	})
}

// TestSecretCacheAsksOnce: many calls wait for one look-up. It continues when the
// call that began it ends.
func TestSecretCacheAsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		c := &callback.SecretCache{Store: storeFunc(func(ctx context.Context, _, _ string) ([]callback.Secret, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return []callback.Secret{callback.NewSecret("s")}, ctx.Err()
		})}
		first, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			_, err := c.Secrets(first, "E3", "hello")
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for range 100 {
			waiting.Go(func() {
				secrets, err := c.Secrets(t.Context(), "E3", "hello")
				require.NoError(t, err)
				require.Len(t, secrets, 1)
			})
		}
		synctest.Wait()
		leave()
		waiting.Wait()
		require.EqualValues(t, 1, asked.Load())
	})
}

// TestSecretCacheJoinsLate: a call that joins a slow look-up does not get an answer
// that was too old when the call began. Then it asks again, once for all such calls.
func TestSecretCacheJoinsLate(t *testing.T) {
	t.Parallel()
	const takes = 8 * time.Second
	for name, test := range map[string]struct {
		cache         *callback.SecretCache
		before, after []callback.Secret // the store's answers
		joins         time.Duration     // after the first call
		asked         int64
	}{
		"in TTL":               {&callback.SecretCache{TTL: time.Second}, secretsOf("old"), secretsOf("new"), time.Second - 1, 1},
		"after TTL":            {&callback.SecretCache{TTL: time.Second}, secretsOf("old"), secretsOf("new"), time.Second, 2},
		"revoked after TTL":    {&callback.SecretCache{TTL: time.Second}, secretsOf("old"), nil, time.Second, 2},
		"in NegativeTTL":       {&callback.SecretCache{}, nil, secretsOf("new"), 5*time.Second - 1, 1},
		"after NegativeTTL":    {&callback.SecretCache{}, nil, secretsOf("new"), 5 * time.Second, 2},
		"TTL that is negative": {&callback.SecretCache{TTL: -1}, secretsOf("old"), secretsOf("new"), 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				c := test.cache
				c.Store = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) {
					answer := test.before
					if asked.Add(1) > 1 {
						answer = test.after
					}
					time.Sleep(takes)
					return answer, nil
				})
				var calls sync.WaitGroup
				call := func(want []callback.Secret) {
					calls.Go(func() {
						secrets, err := c.Secrets(t.Context(), "E3", "hello")
						assert.NoError(t, err)
						assert.Equal(t, want, secrets)
					})
				}
				call(test.before)
				time.Sleep(test.joins)
				want := test.before
				if test.asked > 1 {
					want = test.after
				}
				for range 10 {
					call(want)
				}
				calls.Wait()
				require.Equal(t, test.asked, asked.Load())
			})
		})
	}
}

func secretsOf(text string) []callback.Secret { return []callback.Secret{callback.NewSecret(text)} }

// TestSecretCacheInDoubt: secrets that the store returns beside an error are passed
// on with it, and are not cached.
func TestSecretCacheInDoubt(t *testing.T) {
	t.Parallel()
	doubt, asked := errors.New("replica lags"), 0
	c := &callback.SecretCache{Store: storeFunc(func(context.Context, string, string) ([]callback.Secret, error) {
		if asked++; asked < 3 {
			return secretsOf("old"), doubt
		}
		return secretsOf("new"), nil
	})}
	for range 2 {
		secrets, err := c.Secrets(t.Context(), "E3", "hello")
		require.Equal(t, doubt, err)
		require.Equal(t, secretsOf("old"), secrets)
	}
	secrets, err := c.Secrets(t.Context(), "E3", "hello")
	require.NoError(t, err)
	require.Equal(t, secretsOf("new"), secrets)
}

// TestSecretCacheFlood: neither random names nor those that are very long take
// memory without bound, displace a known secret, or pile up look-ups.
func TestSecretCacheFlood(t *testing.T) {
	cached(t, &callback.SecretCache{Max: 10, TTL: time.Hour}, func(t *testing.T, db *database, status func(string) int) {
		require.Equal(t, 200, status("E3/hello/old"))
		long := strings.Repeat("x", 10000)
		for i := range 1000 {
			require.Equal(t, 403, status(fmt.Sprintf("%s%d/hello/x", long, i)))
		}
		db.count()
		require.Equal(t, 200, status("E3/hello/old"))
		require.Empty(t, db.count()["E3/hello"])

		// Of unknown names ten are remembered.
		for range 2 {
			db.count()
			for i := range 20 {
				require.Equal(t, 403, status(fmt.Sprintf("E3/none%d/x", i)))
			}
		}
		require.GreaterOrEqual(t, len(db.count()), 10)

		// Of known names ten are remembered.
		db.set(func(d *database) {
			for i := range 20 {
				d.secrets[fmt.Sprintf("E3/c%d", i)] = []string{"s"}
			}
		})
		for i := range 20 {
			require.Equal(t, 200, status(fmt.Sprintf("E3/c%d/s", i)))
		}
		db.count()
		for i := range 20 {
			require.Equal(t, 200, status(fmt.Sprintf("E3/c%d/s", i)))
		}
		require.GreaterOrEqual(t, len(db.count()), 10)
	})
}

func TestSecretCacheLookupsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(nil)
		db.hang = true
		c := &callback.SecretCache{Store: db}
		var waiting sync.WaitGroup
		for i := range 1024 {
			waiting.Go(func() {
				_, err := c.Secrets(t.Context(), fmt.Sprint(i), "")
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		synctest.Wait()
		_, err := c.Secrets(t.Context(), "one more", "")
		require.ErrorIs(t, err, callback.ErrUnavailable)
		start := time.Now()
		waiting.Wait()
		require.Equal(t, 10*time.Second, time.Since(start))
		db.set(func(d *database) { d.hang = false })
		secrets, err := c.Secrets(t.Context(), "one more", "")
		require.NoError(t, err)
		require.Empty(t, secrets)
	})
}

func TestSecretCachePanics(t *testing.T) {
	t.Parallel()
	c := &callback.SecretCache{Store: storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { panic("s3cret") })}
	_, err := c.Secrets(context.Background(), "E3", "hello")
	require.EqualError(t, err, "callback: panic of type string in the secret store")
	_, err = new(callback.SecretCache).Secrets(context.Background(), "E3", "hello")
	require.EqualError(t, err, "callback: SecretCache has no Store")
}

// TestSecretCacheRotation: secrets rotate under load as the documentation says,
// and no caller that keeps to it is refused.
func TestSecretCacheRotation(t *testing.T) {
	cached(t, &callback.SecretCache{TTL: 100 * time.Millisecond, NegativeTTL: time.Millisecond}, func(t *testing.T, db *database, status func(string) int) {
		var current atomic.Pointer[string]
		use := func(secret string) { current.Store(&secret) }
		use("old")
		var callers sync.WaitGroup
		stop := make(chan struct{})
		var refused, served atomic.Int64
		for range 8 {
			callers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if status("E3/hello/"+*current.Load()) == 200 {
						served.Add(1)
					} else {
						refused.Add(1)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		previous := "old"
		for i := range 20 {
			next := fmt.Sprintf("secret%d", i)
			db.set(func(d *database) { d.secrets["E3/hello"] = []string{previous, next} })
			time.Sleep(101 * time.Millisecond)
			use(next)
			time.Sleep(2 * time.Millisecond)
			db.set(func(d *database) { d.secrets["E3/hello"] = []string{next} })
			time.Sleep(101 * time.Millisecond)
			require.Equal(t, 403, status("E3/hello/"+previous))
			previous = next
		}
		close(stop)
		callers.Wait()
		require.Zero(t, refused.Load())
		require.Greater(t, served.Load(), int64(10000))
	})
}

// TestSecretCacheStoreKilled: the store dies under load, and comes back. Callers with
// a known secret notice nothing, of a game without a server secret too. Others get a
// 503, which senders try again, and never a 403.
func TestSecretCacheStoreKilled(t *testing.T) {
	cached(t, &callback.SecretCache{TTL: time.Second, NegativeTTL: time.Second, MaxStale: time.Hour}, func(t *testing.T, db *database, status func(string) int) {
		var mu sync.Mutex
		answers := map[string]map[int]int{}
		phase := func(callers ...string) map[string]map[int]int {
			var group sync.WaitGroup
			for _, path := range callers {
				for range 4 {
					group.Go(func() {
						for range 100 {
							code := status(path)
							mu.Lock()
							if answers[path] == nil {
								answers[path] = map[int]int{}
							}
							answers[path][code]++
							mu.Unlock()
							time.Sleep(37 * time.Millisecond)
						}
					})
				}
			}
			group.Wait()
			defer func() { answers = map[string]map[int]int{} }()
			return answers
		}
		const known, renewed, unknown, server = "E3/hello/old", "E3/hello/new", "E3/none/x", "E3/srv"
		require.Equal(t, map[string]map[int]int{known: {200: 400}, unknown: {403: 400}}, phase(known, unknown))
		for _, kill := range []func(*database){
			func(d *database) { d.err = errors.New("connection refused") },
			func(d *database) { d.err, d.hang = nil, true },
		} {
			db.set(kill)
			time.Sleep(2 * time.Second)
			status(known) // sees that the store fails
			require.Equal(t, map[string]map[int]int{known: {200: 400}, renewed: {503: 400}, unknown: {503: 400}, server: {503: 400}},
				phase(known, renewed, unknown, server))
		}
		db.set(func(d *database) { d.hang, d.secrets["E3/hello"] = false, []string{"new"} })
		time.Sleep(12 * time.Second) // the look-ups that hang end
		require.Equal(t, map[string]map[int]int{known: {403: 400}, renewed: {200: 400}, unknown: {403: 400}}, phase(known, renewed, unknown))

		db.set(func(d *database) { d.err = errors.New("connection refused") })
		time.Sleep(time.Hour + time.Second)
		require.Equal(t, 503, status(renewed))
	})
}
