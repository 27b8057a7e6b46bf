package sandbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/fair"
)

// A credential whose call waits for a child in vain still counts as quick.
func TestWaitForChildIsNotHeldTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := func(name string) fair.Key { return fair.Key{Credential: name} }
		r := &Runner{orders: make(chan struct{}, 1)}
		r.places.Open(1, 2, 1000)
		enter := func(name string) (fair.Place, bool) { return r.places.TryEnter(key(name)) }
		place, _ := enter("quick")
		r.places.Leave(place)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := r.acquire(ctx, key("quick"))
		require.ErrorIs(t, err, callback.ErrOverloaded)

		for _, name := range []string{"new", "other new"} {
			_, ok := enter(name)
			require.True(t, ok)
		}
		_, ok := enter("third new")
		require.False(t, ok, "the last place is for a quick one")
		_, ok = enter("quick")
		require.True(t, ok)
	})
}
