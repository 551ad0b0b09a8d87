package providertest

import (
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func detachWrong(b *bench) {
	id := b.attached(b.Places[0])
	err := b.Provider.Detach(b.ctx, id, b.Places[1].Instance)
	b.wantKind(opDetach, id, err, provider.ErrElsewhere)
	b.settle()
	if seen := b.until(id, nic.StateAttached); seen.Place != b.Places[0] {
		b.t.Errorf("a refused Detach left it at %+v", seen.Place)
	}
}

func detachTwice(b *bench) {
	id := b.attached(b.Places[0])
	b.must(b.detaching(id, b.Places[0].Instance))
	b.must(b.Provider.Detach(b.ctx, id, b.Places[0].Instance)) // on its way out
	b.nodeClean(b.Places[0].Instance, id, true)
	b.until(id, nic.StateAvailable, nic.StateDetaching)
	b.must(b.Provider.Detach(b.ctx, id, b.Places[0].Instance)) // out
}

func detachNotPlugged(b *bench) {
	id := b.created()
	for _, place := range b.Places {
		b.must(b.Provider.Detach(b.ctx, id, place.Instance))
		b.until(id, nic.StateAvailable)
	}
}

func detachUnknown(b *bench) {
	gone := b.created()
	b.must(b.remove(gone))
	for _, id := range []nic.ID{gone, nic.NewID(), "nic-/", "../nic"} {
		err := b.Provider.Detach(b.ctx, id, b.Places[0].Instance)
		b.wantKind(opDetach, id, err, provider.ErrNotFound)
	}
}

// detachIsDone: silence of the node is not clean. The slot and the place stay
// taken until the NIC is really out.
func detachIsDone(b *bench) {
	at := b.Places[0]
	free := b.free(at.Instance)
	id := b.attached(at)
	b.must(b.detaching(id, at.Instance))
	if b.NodeClean != nil {
		for range maxSettles {
			b.settle()
		}
		if seen := b.until(id, nic.StateDetaching); seen.Place != at || seen.Device.Kind == "" {
			b.t.Errorf("detaching as %+v; want place and recipe until the node is clean", seen)
		}
		_, err := b.Provider.Attach(b.ctx, id, at)
		b.wantKind(opAttach, id, err, provider.ErrBusy)
		_, err = b.Provider.Attach(b.ctx, id, b.Places[1])
		b.wantKind(opAttach, id, err, provider.ErrBusy, provider.ErrElsewhere)
		b.wantKind(opDelete, id, b.Provider.Delete(b.ctx, id), provider.ErrBusy)
		b.wantListed(id)
		if got := b.free(at.Instance); got != free-1 {
			b.t.Errorf("%d of %d slots free while it is detaching", got, free)
		}
		b.NodeClean(at.Instance, id, true)
	}
	b.until(id, nic.StateAvailable, nic.StateDetaching)
	if b.bound() {
		free--
	}
	if got := b.free(at.Instance); got != free {
		b.t.Errorf("%d slots free after detaching; want %d", got, free)
	}
	// Once Get has said available it stays so, whatever the node reports next.
	b.nodeClean(at.Instance, id, false)
	b.settle()
	b.until(id, nic.StateAvailable)
}

func detachSurvivesRestart(b *bench) {
	id := b.attached(b.Places[0])
	b.must(b.detaching(id, b.Places[0].Instance))
	b.restart()
	b.must(b.detaching(id, b.Places[0].Instance))
	b.nodeClean(b.Places[0].Instance, id, true)
	b.until(id, nic.StateAvailable, nic.StateDetaching)
	next := b.Places[1]
	if b.bound() {
		next = b.Places[0]
	}
	b.attach(id, next)
}
