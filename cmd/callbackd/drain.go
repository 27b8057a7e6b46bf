package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// freshConns are the connections whose first request has not reached its handler.
// http.Server.Shutdown closes them even if the request has arrived, so that at a
// restart its sender would get no answer. So callbackd waits for them before it
// calls Shutdown.
type freshConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// watch makes server report its connections.
func (f *freshConns) watch(server *http.Server) {
	f.conns = map[net.Conn]struct{}{}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			f.mu.Lock()
			f.conns[conn] = struct{}{}
			f.mu.Unlock()
		case http.StateClosed, http.StateHijacked:
			f.remove(conn)
		}
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			f.remove(conn)
		}
		next.ServeHTTP(w, r)
	})
}

type connKey struct{}

func (f *freshConns) remove(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

func (f *freshConns) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns) == 0
}

// freshPatience bounds the wait for a connection that has sent nothing.
const freshPatience = 2 * time.Second

// wait waits until there is no such connection, at most for freshPatience.
func (f *freshConns) wait() {
	for end := time.Now().Add(freshPatience); !f.none() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}
