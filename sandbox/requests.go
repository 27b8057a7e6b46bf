package sandbox

import (
	"context"
	"os"
	"sync"

	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
)

// A frame is what readFrame has read.
type frame struct {
	kind    kind
	payload []byte
}

// An inbox is where a child's goroutines get the parent's replies from. A script's
// goroutine asks one question at a time; its outbound requests, which have numbers,
// go on meanwhile on goroutines of their own. There is no goroutine that reads for
// all of them: one that waits reads, and hands over what is another's.
type inbox struct {
	turn  chan struct{} // holds a token: who has it reads
	reply chan frame    // to the question without a number

	mu       sync.Mutex
	idle     sync.Cond
	last     uint64                // number of a request; they go on from call to call
	requests map[uint64]chan frame // under way
	closed   bool                  // the call is over
}

func newInbox() *inbox {
	b := &inbox{turn: make(chan struct{}, 1), reply: make(chan frame, 1), requests: map[uint64]chan frame{}}
	b.idle.L = &b.mu
	b.turn <- struct{}{}
	return b
}

// open begins a call.
func (b *inbox) open() {
	b.mu.Lock()
	b.closed = false
	b.mu.Unlock()
}

// begin begins an outbound request, unless the call is over.
func (b *inbox) begin() (number uint64, mine chan frame, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, nil, false
	}
	b.last++
	mine = make(chan frame, 1)
	b.requests[b.last] = mine
	return b.last, mine, true
}

// end ends an outbound request.
func (b *inbox) end(number uint64) {
	b.mu.Lock()
	delete(b.requests, number)
	if len(b.requests) == 0 {
		b.idle.Signal()
	}
	b.mu.Unlock()
}

// close ends a call: it waits for the requests under way, so that none reads what
// belongs to the next call.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	for len(b.requests) > 0 {
		b.idle.Wait()
	}
	b.mu.Unlock()
}

// addressee is whom a frame is for.
func (b *inbox) addressee(f frame) chan frame {
	if f.kind != kindHTTPReply {
		return b.reply
	}
	d := &decoder{b: f.payload, trusted: true}
	number := d.uint()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[number]
}

// await returns the frame that comes for mine. Without a parent the process ends.
func (w *worker) await(mine chan frame) frame {
	for {
		select {
		case f := <-mine:
			return f
		case <-w.inbox.turn:
		}
		select { // whoever read before may have handed it over
		case f := <-mine:
			w.inbox.turn <- struct{}{}
			return f
		default:
		}
		k, payload, err := readFrame(w.from, fromParent)
		f := frame{k, payload}
		to := w.inbox.addressee(f)
		if err != nil || to == nil {
			os.Exit(1)
		}
		if to != mine {
			to <- f
		}
		w.inbox.turn <- struct{}{}
		if to == mine {
			return f
		}
	}
}

// Limits of a call's outbound requests under way. The library's own code in a
// child keeps to the first by itself. A request past the second is too large.
const (
	maxRequests     = 64
	maxRequestBytes = 4 * limit.RequestBody
)

// outbound are the outbound requests of a session that are under way.
type outbound struct {
	mu       sync.Mutex // held to send, too
	requests map[uint64]*outboundRequest
	bytes    int
	over     bool // the call is
}

type outboundRequest struct {
	cancel context.CancelFunc
	bytes  int
}

// begin adds a request. The error is errFrame for one that the library's own code
// does not send.
func (o *outbound) begin(number uint64, r *outboundRequest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.requests) >= maxRequests || o.requests[number] != nil {
		return errFrame
	}
	if o.bytes+r.bytes > maxRequestBytes {
		return host.ErrRequestTooLarge
	}
	if o.requests == nil {
		o.requests = map[uint64]*outboundRequest{}
	}
	o.requests[number] = r
	o.bytes += r.bytes
	return nil
}

// end removes a request and then calls send, unless the request has been removed
// before.
func (o *outbound) end(number uint64, send func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.requests[number]
	if r == nil || o.over {
		return nil
	}
	r.cancel()
	delete(o.requests, number)
	o.bytes -= r.bytes
	return send()
}

// close cancels all requests.
func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, r := range o.requests {
		r.cancel()
	}
}
