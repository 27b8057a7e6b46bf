package sandbox

import (
	"context"
	"os"
	"sync"
	"time"

	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
)

// A frame is what readFrame has read.
type frame struct {
	kind    kind
	payload []byte
}

// An inbox delivers the parent's replies to a child's goroutines. The script's
// goroutine asks one question at a time. Its outbound requests, which have numbers,
// are under way on goroutines of their own. No goroutine only reads: one of those
// that wait reads, and hands over the replies for the others.
type inbox struct {
	turn  chan struct{} // holds a token, which allows its taker to read
	reply chan frame    // to the question without a number

	mu       sync.Mutex
	idle     sync.Cond
	last     uint64                // number of the last request, over all calls
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

// close ends a call. It waits for the requests under way, so that none of them reads
// a frame of the next call.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	for len(b.requests) > 0 {
		b.idle.Wait()
	}
	b.mu.Unlock()
}

// addressee returns the channel that a frame is for.
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

// await returns the frame for the channel mine. Without a parent the process ends.
func (w *worker) await(mine chan frame) frame {
	for {
		select {
		case f := <-mine:
			return f
		case <-w.inbox.turn:
		}
		select { // the goroutine that read last may have handed it over
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
// child never exceeds the first. A request that exceeds the second is too large.
const (
	maxRequests     = 64
	maxRequestBytes = 4 * limit.RequestBody
)

// outbound are the outbound requests of a session that are under way.
type outbound struct {
	mu       sync.Mutex // held to send, too
	requests map[uint64]*outboundRequest
	bytes    int
	over     bool // the call is over
	waits    stopwatch
}

// A stopwatch measures the time in which a child waits for the host: for one or more
// outbound requests, or a function of the host.
type stopwatch struct {
	waits int // of now
	since time.Time
	total time.Duration
}

func (w *stopwatch) start() {
	if w.waits++; w.waits == 1 {
		w.since = time.Now()
	}
}

func (w *stopwatch) stop() {
	if w.waits--; w.waits == 0 {
		w.total += time.Since(w.since)
	}
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
	o.waits.start()
	return nil
}

// end removes a request and then calls send. It does nothing if the request has
// been removed already.
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
	o.waits.stop()
	return send()
}

// close cancels all requests.
func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, r := range o.requests {
		r.cancel()
		o.waits.stop()
	}
}

// waited returns for how long the child of a call that is over has waited.
func (o *outbound) waited() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waits.total
}
