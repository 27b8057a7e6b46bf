package callback

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A SecretCache is a [SecretStore] that caches the answers of another one, which
// may be slow or fail. It is used by pointer, its fields must not change once it
// is in use, and it is safe for concurrent use.
//
//   - An answer is valid for TTL, counted from the question. So it takes at most
//     TTL until a revoked secret is refused, and until a new one is accepted;
//     while the store fails, MaxStale more until it is refused. When you rotate a
//     secret, let callers change over after TTL.
//   - It asks the store once for all calls that wait for the same answer. A
//     look-up may take 10 seconds, and 1024 may be under way at once. Where a
//     further one is needed, the error is [ErrUnavailable].
//   - While the store fails or hangs, known secrets remain valid for MaxStale more,
//     and a log record says so. A call for such a name waits for the store for at
//     most 1 second. Every other call gets a 503, never a 403.
//   - Names that the store does not know never displace those that it does know.
type SecretCache struct {
	// Store is the store to ask. It is required.
	Store SecretStore

	// TTL is how long secrets are used. Zero means 30 seconds.
	TTL time.Duration

	// NegativeTTL is how long a name counts as unknown to the store. Zero
	// means 5 seconds.
	NegativeTTL time.Duration

	// MaxStale is how long beyond TTL known secrets are used while the store
	// does not answer. Zero means that they are not.
	MaxStale time.Duration

	// Max bounds the cached names that have secrets, and separately those that
	// have none. Beyond it arbitrary ones are forgotten. Zero means 10000. Each
	// takes about 200 bytes.
	Max int

	// Logger takes failures of the store while known secrets remain in use. nil
	// means [slog.Default].
	Logger *slog.Logger

	mu      sync.Mutex
	known   map[cacheKey]*cachedAnswer
	unknown map[cacheKey]*cachedAnswer // names that have no secrets
	lookups map[cacheKey]*lookup       // under way
	failed  time.Time                  // when the store last failed
}

// A cacheKey is the digest of an API key and a credential, whose length an
// unauthenticated caller chooses.
type cacheKey [sha256.Size]byte

// A cachedAnswer is the store's last answer for a name.
type cachedAnswer struct {
	secrets []Secret // not nil
	asked   time.Time
	failed  time.Time // when the store last failed to answer again
	err     error     // of that
}

// A lookup is a question to the store.
type lookup struct {
	asked   time.Time
	done    chan struct{}
	secrets []Secret
	err     error
}

const (
	maxCacheLookups = 1024 // at once
	lookupTimeout   = 10 * time.Second
	lookupPatience  = time.Second // how long calls with a stale secret wait for the store, and the time between two look-ups for them
)

// Secrets returns the answer of the store or of the cache. The slice must not be
// changed. The error is the store's or ctx's. While the store fails it comes with
// the answer that is remembered or, if there is none, with what the store returned
// beside the error.
func (c *SecretCache) Secrets(ctx context.Context, apiKey, credential string) ([]Secret, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key := cacheKey(sha256.Sum256([]byte(credential + "\x00" + apiKey)))
	now := time.Now()

	c.mu.Lock()
	last, fresh := c.known[key], true
	if last == nil {
		// That there are none is believed only while the store works: a 403 would
		// turn away for good a caller whose secret is new.
		last = c.unknown[key]
		fresh = last != nil && last.asked.After(c.failed)
	}
	ttl := c.ttl(c.known[key] != nil)
	usable := last != nil && now.Sub(last.asked) < ttl+c.MaxStale
	if usable {
		fresh = fresh && now.Sub(last.asked) < ttl
		if fresh || now.Sub(last.failed) < lookupPatience {
			defer c.mu.Unlock()
			if fresh {
				return last.secrets, nil
			}
			return last.secrets, last.err
		}
	}
	l, err := c.lookup(ctx, key, now, apiKey, credential)
	c.mu.Unlock()

	var secrets []Secret
	for err == nil {
		var patience <-chan time.Time
		if usable {
			timer := time.NewTimer(lookupPatience - time.Since(l.asked))
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case <-l.done:
			if l.err == nil && c.isValid(l, now) {
				return l.secrets, nil
			}
			if secrets, err = l.secrets, l.err; err == nil {
				secrets = nil
				c.mu.Lock()
				l, err = c.lookup(ctx, key, time.Now(), apiKey, credential)
				c.mu.Unlock()
			}
		case <-patience:
			err = errors.New("callback: secret store does not answer")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !usable {
		return secrets, err
	}
	c.keep(ctx, last, err)
	return last.secrets, err
}

// isValid reports whether the answer of a look-up is valid for a call that began at
// that time. It is not if the call has joined the look-up too late.
func (c *SecretCache) isValid(l *lookup, began time.Time) bool {
	age := began.Sub(l.asked)
	return age <= 0 || age < c.ttl(len(l.secrets) > 0)
}

// ttl is how long an answer with or without secrets is valid.
func (c *SecretCache) ttl(secrets bool) time.Duration {
	if secrets {
		return cmp.Or(c.TTL, 30*time.Second)
	}
	return cmp.Or(c.NegativeTTL, 5*time.Second)
}

// keep notes that an answer remains in use because of err, and logs it once for
// each look-up of known secrets.
func (c *SecretCache) keep(ctx context.Context, last *cachedAnswer, err error) {
	c.mu.Lock()
	now := time.Now()
	again := now.Sub(last.failed) < lookupPatience
	if !again {
		last.failed, last.err = now, err
	}
	c.mu.Unlock()
	if !again && len(last.secrets) > 0 {
		logger := c.Logger
		if logger == nil {
			logger = slog.Default()
		}
		logger.WarnContext(ctx, "callback: secret store failed, known secrets stay in use", "error", err)
	}
}

// lookup returns the look-up of a name that is under way, or begins one. It is
// called with c.mu held.
func (c *SecretCache) lookup(ctx context.Context, key cacheKey, now time.Time, apiKey, credential string) (*lookup, error) {
	if l := c.lookups[key]; l != nil {
		return l, nil
	}
	if c.Store == nil {
		return nil, errors.New("callback: SecretCache has no Store")
	}
	if len(c.lookups) >= maxCacheLookups {
		return nil, fmt.Errorf("%w: %d look-ups wait for the secret store", ErrUnavailable, len(c.lookups))
	}
	if c.lookups == nil {
		c.known, c.unknown, c.lookups = map[cacheKey]*cachedAnswer{}, map[cacheKey]*cachedAnswer{}, map[cacheKey]*lookup{}
	}
	l := &lookup{asked: now, done: make(chan struct{}), err: errors.New("callback: panic in the secret store")}
	c.lookups[key] = l
	// On a goroutine of its own: the call that asks first may end before others
	// that wait.
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		defer c.settle(key, l)
		defer func() {
			if v := recover(); v != nil {
				l.err = fmt.Errorf("callback: panic of type %T in the secret store", v)
			}
		}()
		secrets, err := c.Store.Secrets(ctx, apiKey, credential)
		l.secrets, l.err = slices.Clone(secrets), err
	}()
	return l, nil
}

// settle caches the answer of a look-up.
func (c *SecretCache) settle(key cacheKey, l *lookup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lookups, key)
	close(l.done)
	limit := cmp.Or(c.Max, 10000)
	switch {
	case l.err != nil:
		c.failed = time.Now()
	case len(l.secrets) > 0:
		if c.known[key] == nil {
			evict(c.known, limit)
		}
		c.known[key] = &cachedAnswer{secrets: l.secrets, asked: l.asked}
		delete(c.unknown, key)
	default:
		delete(c.known, key)
		if c.unknown[key] == nil {
			evict(c.unknown, limit)
		}
		c.unknown[key] = &cachedAnswer{secrets: []Secret{}, asked: l.asked}
	}
}

// evict deletes arbitrary entries of m until it has fewer than limit.
func evict[V any](m map[cacheKey]V, limit int) {
	for key := range m {
		if len(m) < limit {
			return
		}
		delete(m, key)
	}
}
