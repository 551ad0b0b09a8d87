// Package pulse tells whether the kernel still answers about its links.
package pulse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrStuck means that the kernel holds its one lock for links, rtnl, and lets
// nobody change or look up any. No process can help that; it passes when the
// kernel is done, or with the machine's next boot.
var ErrStuck = errors.New("the kernel is stuck with its network interfaces")

// A Pulse asks the kernel one question, to see whether it answers at all. It
// may be used concurrently.
type Pulse struct {
	ask   func() error
	limit time.Duration

	mu  sync.Mutex
	out *question // unanswered; nil if there is none
}

type question struct {
	asked time.Time
	done  chan struct{} // closed with the answer; the rest is read after that
	took  time.Duration
	err   error
}

// New makes a pulse. ask waits for as long as the kernel takes; limit is
// how long that may be before Beat calls it stuck.
func New(limit time.Duration, ask func() error) *Pulse {
	return &Pulse{ask: ask, limit: limit}
}

// Beat asks, and says how long the answer took. It returns ErrStuck when there
// is none within the limit, and else the answer's error. A question that waits
// for the kernel's lock cannot be taken back, and costs a thread: so while one
// is unanswered no other is asked, however often Beat is called.
func (p *Pulse) Beat(ctx context.Context) (time.Duration, error) {
	q := p.question()
	timer := time.NewTimer(p.limit - time.Since(q.asked))
	defer timer.Stop()
	select {
	case <-q.done:
		return q.took, q.err
	default:
	}
	select {
	case <-q.done:
		return q.took, q.err
	case <-timer.C:
		age := time.Since(q.asked)
		return age, fmt.Errorf("%w: no answer for %s", ErrStuck, age.Round(time.Millisecond))
	case <-ctx.Done():
		return time.Since(q.asked), fmt.Errorf("wait for the kernel's answer: %w", context.Cause(ctx))
	}
}

// question returns the one that is out, or asks.
func (p *Pulse) question() *question {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		return p.out
	}
	q := &question{asked: time.Now(), done: make(chan struct{})}
	p.out = q
	go func() {
		err := p.ask()
		p.mu.Lock()
		p.out = nil
		p.mu.Unlock()
		q.took, q.err = time.Since(q.asked), err
		close(q.done)
	}()
	return q
}
