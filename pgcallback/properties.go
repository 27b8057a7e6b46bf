package pgcallback

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/callback"
)

// Limits of properties.
const (
	// MaxProperty is the longest value of a property, as JSON, in bytes.
	MaxProperty = 1 << 20
	// MaxProperties bounds the properties of an API key, including those of its
	// credentials.
	MaxProperties = 10_000
)

// A Property is a value that scripts read by Spark.getProperties(): signing
// keys, prices, switches.
type Property struct {
	// APIKey is the key whose scripts can read the property. If Credential is not
	// empty, only the runs of that credential can read it, and they prefer it to
	// one of the same name without a credential.
	APIKey     string
	Credential string

	Name  string
	Value json.RawMessage

	// Sets are the names of the property sets that the property belongs to.
	Sets []string
}

// SetProperties stores all of the properties or none. It replaces those of the
// same names, and removes one whose Value is nil. Scripts see the change within
// two seconds.
func (db *DB) SetProperties(ctx context.Context, properties ...Property) error {
	for _, p := range properties {
		if !isText(p.APIKey, p.Credential, p.Name) || !isText(p.Sets...) {
			return errNotText
		}
		switch {
		case p.Value == nil:
		case !json.Valid(p.Value) || !isText(string(p.Value)):
			return fmt.Errorf("callback: set property %q: not JSON", p.Name)
		case len(p.Value) > MaxProperty:
			return fmt.Errorf("callback: set property %q: longer than %d bytes", p.Name, MaxProperty)
		}
	}
	// Always in the same order, so that two transactions cannot wait for each
	// other. Of two properties of one name the last one is stored.
	properties = slices.Clone(properties)
	slices.SortStableFunc(properties, func(a, b Property) int {
		return cmp.Or(cmp.Compare(a.APIKey, b.APIKey), cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Name, b.Name))
	})
	var changes pgx.Batch
	apiKeys := make([]string, 0, len(properties))
	for _, p := range properties {
		db.queueProperty(&changes, p)
		apiKeys = append(apiKeys, p.APIKey)
	}
	err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, &changes).Close(); err != nil {
			return err
		}
		var full bool
		err := tx.QueryRow(ctx, db.sql(`select exists (select from {}.property
			where api_key = any($1) group by api_key having count(*) > $2)`), slices.Compact(apiKeys), MaxProperties).Scan(&full)
		if err == nil && full {
			err = fmt.Errorf("API key has more than %d properties", MaxProperties)
		}
		return err
	})
	return wrap("set properties", err)
}

// queueProperty adds the statement that stores or removes a property.
func (db *DB) queueProperty(changes *pgx.Batch, p Property) {
	if p.Value == nil {
		changes.Queue(db.sql("delete from {}.property where api_key = $1 and credential = $2 and name = $3"), p.APIKey, p.Credential, p.Name)
		return
	}
	sets := p.Sets
	if sets == nil {
		sets = []string{}
	}
	changes.Queue(db.sql(`insert into {}.property (api_key, credential, name, value, sets) values ($1, $2, $3, $4, $5)
		on conflict (api_key, credential, name) do update set value = excluded.value, sets = excluded.sets`),
		p.APIKey, p.Credential, p.Name, string(p.Value), sets)
}

// Properties returns the properties of an API key, sorted by credential and
// name.
func (db *DB) Properties(ctx context.Context, apiKey string) ([]Property, error) {
	if !isText(apiKey) {
		return nil, nil
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select credential, name, value, sets from {}.property
		where api_key = $1 order by credential, name`), apiKey)
	if err != nil {
		return nil, fmt.Errorf("callback: properties: %w", err)
	}
	properties, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Property, error) {
		p := Property{APIKey: apiKey}
		var value string
		err := row.Scan(&p.Credential, &p.Name, &value, &p.Sets)
		p.Value = json.RawMessage(value)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("callback: properties: %w", err)
	}
	return properties, nil
}

const (
	propertyTTL      = time.Second
	propertyTimeout  = 5 * time.Second // for the first query
	propertyPatience = time.Second     // for later queries, and between two that fail
	maxPropertyBytes = 64 << 20        // in memory
)

// A propertyCache caches the properties of the API keys whose scripts read them.
type propertyCache struct {
	db *DB

	mu    sync.Mutex
	known map[string]*keyProperties // by API key
	size  int                       // of all, in bytes
}

// keyProperties are the properties of one API key.
type keyProperties struct {
	busy chan struct{} // full while a query is under way

	// Guarded by the lock of the cache:
	list   []Property
	size   int
	asked  time.Time // when list was queried; zero before the first time
	failed time.Time // when the last query failed
	told   time.Time // when a failure was last logged
}

// of returns the properties of the call's API key. While the database fails,
// known ones remain in use without a time limit.
func (c *propertyCache) of(ctx context.Context, call *callback.Call) ([]Property, error) {
	c.mu.Lock()
	known := c.known[call.APIKey]
	if known == nil {
		if c.known == nil {
			c.known = map[string]*keyProperties{}
		}
		known = &keyProperties{busy: make(chan struct{}, 1)}
		c.known[call.APIKey] = known
	}
	list, ok := known.usable()
	c.mu.Unlock()
	if ok {
		return list, nil
	}
	select {
	case known.busy <- struct{}{}:
		defer func() { <-known.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	list, ok = known.usable() // another call may have read them meanwhile
	timeout := propertyTimeout
	if !known.asked.IsZero() {
		timeout = propertyPatience
	}
	c.mu.Unlock()
	if ok {
		return list, nil
	}

	now := time.Now()
	limited, cancel := context.WithTimeout(ctx, timeout)
	read, err := c.db.Properties(limited, call.APIKey)
	cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.store(call.APIKey, known, read, now)
		return read, nil
	}
	if known.asked.IsZero() {
		if c.known[call.APIKey] == known {
			delete(c.known, call.APIKey)
		}
		return nil, err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // the caller has hung up, which says nothing about the database
	}
	known.failed = time.Now()
	if now.Sub(known.told) >= time.Minute {
		known.told = now
		log := cmp.Or(call.Logger, slog.Default())
		log.ErrorContext(ctx, "callback: properties cannot be read, the last ones known stay in use", "age", now.Sub(known.asked).Round(time.Second), "error", err)
	}
	return known.list, nil
}

// usable returns the list, and whether it is fresh enough to need no query. The
// lock of the cache is held.
func (k *keyProperties) usable() (list []Property, ok bool) {
	now := time.Now()
	return k.list, now.Sub(k.asked) < propertyTTL || now.Sub(k.failed) < propertyPatience
}

// store caches the result of a query. The lock is held.
func (c *propertyCache) store(apiKey string, known *keyProperties, read []Property, asked time.Time) {
	size := 100
	for _, p := range read {
		size += len(p.Credential) + len(p.Name) + len(p.Value) + 200
	}
	if current := c.known[apiKey]; current != known { // known was evicted in the meantime
		if current != nil {
			c.size -= current.size
		}
		c.known[apiKey], known.size = known, 0
	}
	c.size += size - known.size
	known.list, known.size, known.asked = read, size, asked
	for key, other := range c.known {
		if c.size <= maxPropertyBytes {
			return
		}
		if other != known {
			c.size -= other.size
			delete(c.known, key)
		}
	}
}

// member is Spark.getProperties.
func (c *propertyCache) member() callback.Member {
	return callback.Member{
		Script: `function (host) {
			return function getProperties() {
				return {
					getProperty: function getProperty(name) { return host.property(String(name)) },
					getPropertySet: function getPropertySet(name) { return host.propertySet(String(name)) }
				}
			}
		}`,
		Funcs: map[string]callback.HostFunc{"property": c.property, "propertySet": c.propertySet},
	}
}

// visible returns, by name, the properties that the scripts of the call may read
// and that choose accepts.
func (c *propertyCache) visible(ctx context.Context, call *callback.Call, choose func(Property) bool) (map[string]json.RawMessage, error) {
	list, err := c.of(ctx, call)
	if err != nil {
		return nil, c.db.unavailable(ctx, call, err)
	}
	values := map[string]json.RawMessage{}
	for _, p := range list { // those without a credential come first
		if (p.Credential == "" || p.Credential == call.Credential) && choose(p) {
			values[p.Name] = p.Value
		}
	}
	return values, nil
}

func (c *propertyCache) property(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	var name string
	if err := args.Scan(&name); err != nil {
		return nil, err
	}
	values, err := c.visible(ctx, call, func(p Property) bool { return p.Name == name })
	if err != nil || values[name] == nil {
		return nil, err
	}
	return values[name], nil
}

func (c *propertyCache) propertySet(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	var name string
	if err := args.Scan(&name); err != nil {
		return nil, err
	}
	values, err := c.visible(ctx, call, func(p Property) bool { return slices.Contains(p.Sets, name) })
	if err != nil || len(values) == 0 {
		return nil, err
	}
	return values, nil
}

// errDatabase is what a script sees of an error of the database. The error itself
// is logged.
var errDatabase = errors.New("the database is unavailable")
