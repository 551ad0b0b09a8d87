package proof

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// An outage is a provider that cannot be reached while it is on.
type outage struct {
	provider.Provider
	on atomic.Bool
}

func (o *outage) err(op string) error {
	if o.on.Load() {
		return &provider.Error{Kind: provider.ErrUnknown, Scope: provider.ScopeAccount, Provider: cloudName, Op: op}
	}
	return nil
}

func (o *outage) Limits(ctx context.Context, at nic.InstanceID) (provider.Limits, error) {
	if err := o.err(fake.OpLimits); err != nil {
		return provider.Limits{}, err
	}
	return o.Provider.Limits(ctx, at)
}

func (o *outage) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	if err := o.err(fake.OpCreate); err != nil {
		return nic.Seen{}, err
	}
	return o.Provider.Create(ctx, spec)
}

func (o *outage) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	if err := o.err(fake.OpGet); err != nil {
		return nil, err
	}
	return o.Provider.Get(ctx, ids...)
}

func (o *outage) List(ctx context.Context) ([]nic.Seen, error) {
	if err := o.err(fake.OpList); err != nil {
		return nil, err
	}
	return o.Provider.List(ctx)
}

// reserved counts the NICs of a network that the store has as spare.
func (w *world) reserved(network string) (n int) {
	records, err := allocator.ReadRecords(context.Background(), w.truth)
	for _, of := range records.NICs {
		if err == nil && of.Network == network && of.Phase == nic.PhaseSpare {
			n++
		}
	}
	return n
}

// While the cloud cannot be reached, containers are served out of the
// reserve, with what others give back too, and nothing waits without a name.
func TestReservesServeThroughAnOutage(t *testing.T) {
	inWorld(t, slowly(), func(w *world) error {
		cloud := &outage{Provider: w.cloud}
		w.via = cloud
		w.pools = map[string]reserve{"warm": {Pool: nic.Pool{Min: 2, Max: 4, Idle: nic.Duration(time.Hour)}}}
		if err := w.crash(); err != nil {
			return err
		}
		a := w.agents[0]
		first := a.run(1, nic.Request{Network: "warm"})
		err := w.until(time.Minute, "served, with two in reserve on each node", func() bool { return w.bound(first)() && w.reserved("warm") == 4 })
		if err != nil {
			return err
		}
		cloud.on.Store(true)
		for n := range 2 {
			of := a.run(2+n, nic.Request{Network: "warm"})
			if err := w.until(5*time.Second, fmt.Sprintf("served out of the reserve, as number %d", n), w.bound(of)); err != nil {
				return err
			}
		}
		first.running, first.gone = false, true
		if err := w.pass(3 * time.Minute); err != nil {
			return err
		}
		if err := w.check(); err != nil {
			return err
		}
		next := a.run(4, nic.Request{Network: "warm"})
		if err := w.until(5*time.Second, "served with what the first has had", w.bound(next)); err != nil {
			return err
		}
		cloud.on.Store(false)
		err = w.until(10*time.Minute, "with two in reserve on each node again", func() bool { return w.reserved("warm") == 4 })
		return errors.Join(err, w.check())
	})
}
