package providertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// maxSettles is how often the suite lets time pass before it gives up.
const maxSettles = 100

// A bench is a rig with what the case has made on it so far.
type bench struct {
	*Rig
	t    *testing.T
	ctx  context.Context
	info provider.Info

	mu    sync.Mutex
	specs map[nic.ID]nic.Spec
}

func newBench(t *testing.T, rig *Rig) *bench {
	b := &bench{Rig: rig, t: t, ctx: t.Context(), info: rig.Provider.Info(), specs: map[nic.ID]nic.Spec{}}
	t.Cleanup(b.sweep)
	return b
}

// sweep takes everything away and demands that nothing is left.
func (b *bench) sweep() {
	b.ctx = context.WithoutCancel(b.ctx) // the test's own has ended
	for id := range b.specs {
		if err := b.remove(id); err != nil {
			b.t.Errorf("take away what the case made: %v", err)
		}
	}
	left, err := b.Provider.List(b.ctx)
	if err != nil || len(left) > 0 {
		b.t.Errorf("after the case: List returns %v, %v; want nothing left", left, err)
	}
}

// bound says whether a NIC is made of what one node has.
func (b *bench) bound() bool { return b.SpecAt != nil }

// newID mints an id and remembers its spec, because Spec may draw a MAC.
func (b *bench) newID() nic.ID { return b.newIDAt(b.Places[0]) }

func (b *bench) newIDAt(place nic.Place) nic.ID {
	id := nic.NewID()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bound() {
		b.specs[id] = b.SpecAt(id, place)
	} else {
		b.specs[id] = b.Spec(id)
	}
	return id
}

func (b *bench) spec(id nic.ID) nic.Spec {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.specs[id]
}

// created returns a NIC that has been made and is available.
func (b *bench) created() nic.ID {
	b.t.Helper()
	return b.createdAt(b.Places[0])
}

func (b *bench) createdAt(place nic.Place) nic.ID {
	b.t.Helper()
	id := b.newIDAt(place)
	_, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	b.until(id, nic.StateAvailable, nic.StateCreating)
	return id
}

// attached returns a NIC that is plugged in at place.
func (b *bench) attached(place nic.Place) nic.ID {
	b.t.Helper()
	id := b.createdAt(place)
	b.attach(id, place)
	return id
}

func (b *bench) attach(id nic.ID, place nic.Place) nic.Seen {
	b.t.Helper()
	b.nodeClean(place.Instance, id, false) // the node is told to have it again
	b.must(b.attaching(id, place))
	return b.until(id, nic.StateAttached, nic.StateAvailable, nic.StateAttaching)
}

// attaching starts an attach. A provider may tell its caller to wait before.
func (b *bench) attaching(id nic.ID, place nic.Place) error {
	for range 10 * maxSettles {
		_, err := b.Provider.Attach(b.ctx, id, place)
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrBusy || e.RetryAfter == 0 {
			return err
		}
		b.settle()
	}
	return fmt.Errorf("attach of %s is put off for ever", id)
}

func (b *bench) detach(id nic.ID, instance nic.InstanceID) {
	b.t.Helper()
	b.must(b.detaching(id, instance))
	b.nodeClean(instance, id, true)
	b.until(id, nic.StateAvailable, nic.StateDetaching)
}

// detaching starts a detach of a NIC that is plugged in. A provider may refuse
// it as busy for some time after the plug.
func (b *bench) detaching(id nic.ID, instance nic.InstanceID) error {
	return b.again(func() error { return b.Provider.Detach(b.ctx, id, instance) }, provider.ErrBusy)
}

func (b *bench) nodeClean(instance nic.InstanceID, id nic.ID, clean bool) {
	if b.NodeClean != nil {
		b.NodeClean(instance, id, clean)
	}
}

func (b *bench) settle() { b.Settle(b.t) }

func (b *bench) free(instance nic.InstanceID) int {
	b.t.Helper()
	limits, err := b.Provider.Limits(b.ctx, instance)
	b.must(err)
	return limits.Free
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// until lets time pass until Get says want. On the way only the states in via
// may be seen, or none.
func (b *bench) until(id nic.ID, want nic.State, via ...nic.State) nic.Seen {
	b.t.Helper()
	seen, err := b.await(id, want, via...)
	b.must(err)
	return seen
}

func (b *bench) await(id nic.ID, want nic.State, via ...nic.State) (nic.Seen, error) {
	for range maxSettles {
		all, err := b.Provider.Get(b.ctx, id)
		if err != nil {
			return nic.Seen{}, err
		}
		seen, ok := all[id]
		switch {
		case ok && seen.State == want:
			return seen, nil
		case ok && !slices.Contains(via, seen.State):
			return seen, fmt.Errorf("%s is %s, on the way to %s", id, seen.State, want)
		}
		b.settle()
	}
	return nic.Seen{}, fmt.Errorf("%s is not %s for ever", id, want)
}

// remove takes a NIC out of wherever it is and deletes it. One that was never
// made is removed already.
func (b *bench) remove(id nic.ID) error {
	for range maxSettles {
		err := b.Provider.Delete(b.ctx, id)
		switch {
		case errors.Is(err, provider.ErrNotFound):
			return nil
		case err == nil:
			b.settle()
			continue
		case !errors.Is(err, provider.ErrBusy):
			return err
		}
		all, err := b.Provider.Get(b.ctx, id)
		if err != nil {
			return err
		}
		if at := all[id].Place.Instance; at != "" {
			err := b.Provider.Detach(b.ctx, id, at)
			if err != nil && !errors.Is(err, provider.ErrBusy) {
				return err
			}
			b.nodeClean(at, id, true)
		}
		b.settle()
	}
	return fmt.Errorf("%s cannot be deleted, however often it is repeated", id)
}

var kinds = []error{
	provider.ErrNotFound, provider.ErrExhausted, provider.ErrThrottled, provider.ErrBusy, provider.ErrElsewhere,
	provider.ErrDenied, provider.ErrInvalid, provider.ErrUnsupported, provider.ErrUnknown,
}

// wantKind demands an error that is of exactly one kind, one of want, and
// says where it comes from.
func (b *bench) wantKind(op string, id nic.ID, err error, want ...error) {
	b.t.Helper()
	if bad := b.checkKind(op, id, err, want...); bad != nil {
		b.t.Error(bad)
	}
}

func (b *bench) checkKind(op string, id nic.ID, err error, want ...error) error {
	if err == nil {
		return fmt.Errorf("%s %s: no error; want one of %v", op, id, want)
	}
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return fmt.Errorf("%s %s: error %v (%T) is no *provider.Error", op, id, err, err)
	}
	if e.Provider != b.info.Name || e.Op != op || e.ID != id {
		return fmt.Errorf("error says provider %q op %q id %q; want %q %q %q: %w", e.Provider, e.Op, e.ID, b.info.Name, op, id, err)
	}
	var is []error
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			is = append(is, kind)
		}
	}
	if len(is) != 1 || is[0] != e.Kind {
		return fmt.Errorf("%s %s: error is of kinds %v and says %v; want exactly one: %w", op, id, is, e.Kind, err)
	}
	if len(want) > 0 && !slices.Contains(want, e.Kind) {
		return fmt.Errorf("%s %s: want one of %v, got %w", op, id, want, err)
	}
	return nil
}

// wantListed demands that List returns exactly these NICs.
func (b *bench) wantListed(ids ...nic.ID) {
	b.t.Helper()
	seen, err := b.Provider.List(b.ctx)
	b.must(err)
	var got []nic.ID
	for _, s := range seen {
		got = append(got, s.NIC)
	}
	slices.Sort(got)
	want := slices.Clone(ids)
	slices.SortFunc(want, cmp.Compare)
	if !slices.Equal(got, want) {
		b.t.Errorf("List returns %v; want %v", got, want)
	}
}

// restart replaces the provider, if it can be.
func (b *bench) restart() {
	if b.Restart != nil {
		b.Provider = b.Restart(b.t)
	}
}
