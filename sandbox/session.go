package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/limit"
)

// killGrace is how long after the end of its time a call may still answer: a
// child that interrupts the script itself tells where it was.
const killGrace = 50 * time.Millisecond

// A session is the parent's side of one call in one child. It trusts nothing that
// comes from the child.
type session struct {
	runner    *Runner
	child     *child
	ctx       context.Context
	call      *callback.Call
	tree      treeName
	scripts   scripts
	main      string // name of the main script
	functions []hostFunc
	limits    limits
	logged    struct{ lines, bytes int } // by the child
	asked     int                        // the child's questions about files
	faults    atomic.Int64               // records that the host's code has caused, even abandoned code

	answered atomic.Bool // the conversation is over
	killed   bool        // the watch has killed the child

	trial *trial // the version that the child is compiling
	meter *meter // nil unless the call has a Usage

	outbound outbound

	// Every call has these messages. They are fields to save allocations.
	began callMessage
	ended resultMessage
}

// A protocolError is a message that the library's own code in a child never
// sends.
type protocolError struct {
	kind kind
	err  error
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("callback/sandbox: child process broke the protocol: kind %q: %v", byte(e.kind), e.err)
}

// An ending says in which state a call has left its child.
type ending int

const (
	neverBegan ending = iota // the child had died before, so another child can take the call
	childDied                // the child died in the call, or is late
	childSpent               // the call is over and the child must not take another
	childFit                 // the call is over and the child can take another
)

// run runs the call in the child.
func (s *session) run(files []fileState) (*callback.Result, ending, error) {
	s.limits = limitsOf(s.call)
	result, end, err := s.watched(files)
	if end == childSpent || end == childFit {
		if s.killed {
			end = childSpent
		}
		return result, end, err
	}
	var broken *protocolError
	fate := childDied
	if errors.As(err, &broken) {
		fate = childSpent // it is killed for that, which is not to be logged as a death
	}
	switch {
	case end == neverBegan && s.ctx.Err() == nil && !s.child.closed.Load():
		return nil, neverBegan, nil
	case s.ctx.Err() != nil: // whatever else the child did
		err = s.overran()
	case s.child.closed.Load():
		err = fmt.Errorf("%w with a call under way", ErrClosed)
	case broken != nil:
	default:
		err = &callback.ScriptError{Script: s.main, Version: s.tree.Version, Message: "killed: out of memory or fatal error of the engine"}
	}
	if s.trial != nil && !errors.Is(s.ctx.Err(), context.Canceled) && !s.child.closed.Load() {
		// The child died while it compiled, and so would the next one.
		s.endTrial(&callback.ScriptError{Script: s.trial.name, Message: "the compiler ran out of time or memory"})
	}
	return nil, fate, err
}

// watched converses with the child, which is killed if it does not answer in time.
func (s *session) watched(files []fileState) (*callback.Result, ending, error) {
	s.child.watch.Start(s.ctx, s.killUnlessAnswered)
	defer func() { // also if code of the host panics
		s.outbound.close()
		s.answered.Store(true)
		s.child.watch.Stop()
	}()
	return s.converse(files)
}

// overran is the error of a call that did not end in time.
func (s *session) overran() error {
	return &callback.ScriptError{Script: s.main, Version: s.tree.Version, Message: cloudcode.Overran, Err: s.ctx.Err()}
}

// killUnlessAnswered kills the child if there is no answer within killGrace. It
// returns soon after an answer.
func (s *session) killUnlessAnswered() {
	for start := time.Now(); !s.answered.Load(); time.Sleep(killGrace / 16) {
		if time.Since(start) > killGrace {
			s.killed = true
			if s.meter != nil {
				s.meter.read() // while the process has its memory
			}
			s.child.kill()
			return
		}
	}
}

// converse sends the call and serves the child until the result comes.
func (s *session) converse(files []fileState) (*callback.Result, ending, error) {
	if err := s.send(s.callMessage(files)); err != nil {
		if errors.Is(err, errTooLarge) {
			return nil, childFit, fmt.Errorf("callback/sandbox: call for a child process: %w", err)
		}
		return nil, neverBegan, err
	}
	for {
		k, payload, err := readFrame(s.child.from, s.limitOf)
		if err == errFrame || errors.Is(err, errTooLarge) {
			return nil, childDied, &protocolError{k, err}
		}
		if err != nil {
			return nil, childDied, err
		}
		d := &decoder{b: payload}
		if k == kindResult {
			if result, end, err := s.result(d); err != errFrame {
				return result, end, err
			}
			return nil, childDied, &protocolError{k, errFrame}
		}
		if err := s.serve(k, d); err == errFrame {
			return nil, childDied, &protocolError{k, err}
		} else if err != nil {
			return nil, childDied, err
		}
	}
}

// limitOf bounds a frame of a kind. After the deadline a result is useless, so the
// limit is that of an error.
func (s *session) limitOf(k kind) int64 {
	if k == kindResult && s.ctx.Err() != nil {
		return maxNotice
	}
	return s.limits.of(k)
}

func (s *session) callMessage(files []fileState) *callMessage {
	var remaining time.Duration
	if end, ok := s.ctx.Deadline(); ok {
		remaining = max(time.Until(end), 1)
	}
	s.began = callMessage{
		Call:      s.call,
		Tree:      s.tree,
		HasHTTP:   s.call.HTTP != nil,
		Remaining: remaining,
		HasUsage:  s.call.Usage != nil,
		Levels:    s.enabledLevels(),
		Files:     files,
		Members:   s.encodeMembers(),
	}
	return &s.began
}

// serve handles a message of the child during its call. The error is errFrame for
// a message that the library's own code does not send.
func (s *session) serve(k kind, d *decoder) error {
	switch k {
	case kindLog:
		return receive(d, s.log)
	case kindVerdict:
		return receive(d, s.verdict)
	case kindStat, kindRead:
		if s.asked++; s.asked > maxFileQuestions {
			return errFrame
		}
		if k == kindStat {
			return receive(d, s.answerStat)
		}
		return receive(d, s.answerRead)
	case kindHTTP:
		return receive(d, s.answerHTTP)
	case kindDrop:
		return receive(d, s.dropHTTP)
	case kindInvoke:
		return receive(d, s.answerInvoke)
	}
	return errFrame
}

// receive decodes a message and calls f with it.
func receive[M any, P interface {
	*M
	decode(*decoder)
}](d *decoder, f func(P) error) error {
	m := P(new(M))
	m.decode(d)
	if err := d.done(); err != nil {
		return err
	}
	return f(m)
}

// result decodes the end of the call and checks everything that the Handler relies
// on.
func (s *session) result(d *decoder) (*callback.Result, ending, error) {
	m := &s.ended
	m.decode(d)
	if d.done() != nil {
		return nil, childDied, errFrame
	}
	if m.Err == nil && s.ctx.Err() != nil {
		m.Result, m.Err = nil, s.overran()
	}
	if m.Err == nil && !s.validResult(m.Result) {
		return nil, childDied, errFrame
	}
	if s.meter != nil {
		s.meter.usage.Computed = max(m.Computed, 0)
		s.meter.usage.Version = cmp.Or(s.tree.Version, limit.Text(m.Version, maxVersion))
	}
	if m.Spent {
		return m.Result, childSpent, m.Err
	}
	return m.Result, childFit, m.Err
}

// validResult reports whether a result is within its limits and keeps to the
// contract.
func (s *session) validResult(r *callback.Result) bool {
	if len(r.Data)+len(r.Errors) > limit.ResultNames {
		return false
	}
	remaining := s.limits.result - int64(len(r.Raw))
	if remaining < 0 {
		return false
	}
	for _, fields := range [...][]callback.Field{r.Data, r.Errors} {
		for i := range fields {
			f := &fields[i]
			remaining -= int64(len(f.Name) + len(f.Value))
			if remaining < 0 || !utf8.ValidString(f.Name) || !compactJSON(f.Value) {
				return false
			}
		}
	}
	return true
}

func (s *session) send(m message) error {
	s.outbound.mu.Lock()
	defer s.outbound.mu.Unlock()
	return s.child.out.send(s.child.in, m, fromParent)
}

// reply replies to the child's question. If the call is cancelled, the child gets
// a cancelMessage instead. The child knows the deadline itself.
func (s *session) reply(m message) error {
	if errors.Is(s.ctx.Err(), context.Canceled) {
		m = new(cancelMessage)
	}
	return s.send(m)
}

// waitForHost runs the host's code f and waits for it as long as the child lives.
// If the child dies, f is abandoned, as it is in process. After the deadline f is
// not run.
func (s *session) waitForHost(f func()) error {
	if s.ctx.Err() != nil {
		return nil
	}
	o := &s.outbound
	o.mu.Lock()
	o.waits.start()
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.waits.stop()
		o.mu.Unlock()
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-s.child.dead:
		return io.ErrUnexpectedEOF
	}
}

// answerStat tells the child which version of a file to run.
func (s *session) answerStat(m *statQuestion) error {
	stamp, err := s.scripts.stat(s.main, m.Name)
	return s.reply(&statReply{Err: err, Stamp: stamp})
}

// answerRead sends the child the text of a file.
func (s *session) answerRead(m *readQuestion) error {
	reply, trial := s.scripts.read(m.Name)
	if trial != nil {
		s.trial = trial
	}
	return s.reply(reply)
}

// verdict notes whether the version on trial compiles.
func (s *session) verdict(m *verdictMessage) error {
	if s.trial == nil {
		return errFrame
	}
	s.endTrial(m.Err)
	return nil
}

// endTrial decides whether the version on trial is used.
func (s *session) endTrial(err error) {
	t := s.trial
	s.trial = nil
	if t.end(err) && s.call.Logger != nil {
		var at callback.ScriptError
		if e, ok := err.(*callback.ScriptError); ok {
			at = *e
		}
		cloudcode.LogBrokenEdit(s.ctx, s.call.Logger, t.name, at.Line, at.Column, at.Message)
	}
}
