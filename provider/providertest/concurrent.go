package providertest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

const (
	callers = 8
	rounds  = 6
)

// concurrentNICs: callers with a NIC each do not disturb each other.
func concurrentNICs(b *bench) {
	free := [2]int{b.free(b.Places[0].Instance), b.free(b.Places[1].Instance)}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range rounds {
				if err := b.life(b.newIDAt(b.Places[i%2]), b.Places[i%2]); err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.wantListed()
	for i, place := range b.Places {
		if got := b.free(place.Instance); got != free[i] {
			b.t.Errorf("%d slots free on %s; want %d as at first", got, place.Instance, free[i])
		}
	}
}

// life is a NIC's whole life, as the allocator drives it.
func (b *bench) life(id nic.ID, place nic.Place) error {
	if _, err := b.Provider.Create(b.ctx, b.spec(id)); err != nil {
		return err
	}
	if _, err := b.await(id, nic.StateAvailable, nic.StateCreating); err != nil {
		return err
	}
	err := b.again(func() error { return b.attaching(id, place) }, provider.ErrExhausted) // the others hold the slots
	if err != nil {
		return err
	}
	seen, err := b.await(id, nic.StateAttached, nic.StateAttaching)
	if err != nil || seen.Place != place {
		return fmt.Errorf("want %s at %s, it is at %s: %w", id, place.Instance, seen.Place.Instance, err)
	}
	return b.remove(id)
}

// again repeats a call while it is refused with that kind.
func (b *bench) again(call func() error, while error) error {
	for range 10 * maxSettles {
		if err := call(); !errors.Is(err, while) {
			return err
		}
		b.settle()
	}
	return fmt.Errorf("refused for ever: %w", while)
}

// concurrentCalls: whatever is called at once for one NIC, each call gets an
// honest answer and the NIC is in one place at most and can be removed.
func concurrentCalls(b *bench) {
	id := b.newID()
	for _, place := range b.Places {
		b.nodeClean(place.Instance, id, true)
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for round := range rounds {
				if err := b.poke(id, i+round, b.Places[i%2]); err != nil {
					b.t.Error(err)
				}
				if i == 0 {
					b.settle()
				}
			}
		})
	}
	wg.Wait()
	b.must(b.remove(id))
	b.wantListed()
}

// poke makes one call and checks how it fails.
func (b *bench) poke(id nic.ID, n int, place nic.Place) error {
	op, allowed := "", []error{provider.ErrBusy, provider.ErrNotFound, provider.ErrElsewhere}
	var err error
	switch n % 5 {
	case 0:
		op, allowed = opCreate, []error{provider.ErrBusy} // being deleted
		_, err = b.Provider.Create(b.ctx, b.spec(id))
	case 1:
		op = opAttach
		if b.bound() {
			allowed = append(allowed, provider.ErrInvalid) // there
		}
		var seen nic.Seen
		if seen, err = b.Provider.Attach(b.ctx, id, place); err == nil && seen.Place != place {
			return fmt.Errorf("attach at %+v says %+v", place, seen)
		}
	case 2:
		op = opDetach
		err = b.Provider.Detach(b.ctx, id, place.Instance)
	case 3:
		op = opDelete
		err = b.Provider.Delete(b.ctx, id)
	default:
		_, err = b.Provider.Get(b.ctx, id)
		return err
	}
	if err == nil {
		return nil
	}
	return b.checkKind(op, id, err, allowed...)
}
