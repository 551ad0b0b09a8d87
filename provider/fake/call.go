package fake

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// call carries one call there and back. do runs under the lock and says
// whether it changed the world.
func (p *Provider) call(ctx context.Context, c Call, do func(now time.Time) (effect bool, err error)) error {
	half := p.opts.CallTime / 2
	if err := retry.Sleep(ctx, half); err != nil {
		c.Err, c.At = p.fail(c, unknown(err)), time.Now()
		p.mu.Lock()
		p.log = append(p.log, c)
		p.mu.Unlock()
		return c.Err
	}
	n, err := p.serve(c, do)
	if late := retry.Sleep(ctx, p.opts.CallTime-half); late != nil {
		err = p.fail(c, unknown(late))
		p.mu.Lock()
		p.log[n].Err = err
		p.mu.Unlock()
	}
	return err
}

// serve is the moment at which a call takes effect. It returns the call's
// place in the log.
func (p *Provider) serve(c Call, do func(now time.Time) (bool, error)) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.At = time.Now()
	f := p.takeFault(c.Op)
	switch {
	case f != nil && !f.after:
		err = p.fail(c, f.err)
	case p.buckets[c.Op] != nil && !p.buckets[c.Op].take(c.At):
		err = p.fail(c, p.buckets[c.Op].throttled())
	default:
		if c.Effect, err = do(c.At); err == nil && f != nil {
			err = f.err
		}
		err = p.fail(c, err)
	}
	if r := p.nics[c.ID]; r != nil {
		c.State, c.Where = r.state, r.place.Instance
		if c.Op == OpAttach {
			c.Index = r.index
		}
	}
	c.Err = err
	p.log = append(p.log, c)
	return len(p.log) - 1, err
}

// A Call is one call as the log has it.
type Call struct {
	Op       string
	ID       nic.ID         // empty for get, list and limits
	Instance nic.InstanceID // as the caller said it
	// Effect: the call changed the world. It may have done so although the
	// caller got an error.
	Effect bool
	// State and Where are the NIC's directly after the call; empty if there
	// is none.
	State nic.State
	Where nic.InstanceID
	// Index is the device index that an attach asked for.
	Index int
	// Err is what the caller got.
	Err error
	At  time.Time
}

// Calls returns every call so far, in the order in which they took effect.
func (p *Provider) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.log...)
}

// Counts are the log's totals for one op.
type Counts struct{ Calls, Errors, Effects int }

// Counts returns the totals by op.
func (p *Provider) Counts() map[string]Counts {
	counts := map[string]Counts{}
	for _, c := range p.Calls() {
		n := counts[c.Op]
		n.Calls++
		if c.Err != nil {
			n.Errors++
		}
		if c.Effect {
			n.Effects++
		}
		counts[c.Op] = n
	}
	return counts
}

var _ provider.Provider = (*Provider)(nil)
