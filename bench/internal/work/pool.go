package work

import (
	"net/http"
	"sync"
)

// pooledGoja uses runtimes again and again: what a script leaves behind is
// there for the next one.
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
