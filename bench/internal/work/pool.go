package work

import (
	"net/http"
	"sync"
)

// pooledGoja reuses runtimes. It isolates nothing: a script sees what earlier
// scripts left behind.
func pooledGoja(w *Workload) http.Handler {
	p := compileGoja(w)
	pool := sync.Pool{New: func() any {
		g := newGojaWorld(p)
		if w.Name == "W5" {
			g.withHTTP()
		}
		return g
	}}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g := pool.Get().(*gojaWorld)
		g.serve(rw, r, p.main)
		pool.Put(g)
	})
}
