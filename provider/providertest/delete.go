package providertest

import (
	"errors"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func deleteAttached(b *bench) {
	id := b.attached(b.Places[0])
	b.wantKind(opDelete, id, b.Provider.Delete(b.ctx, id), provider.ErrBusy)
	b.settle()
	if seen := b.until(id, nic.StateAttached); seen.Place != b.Places[0] {
		b.t.Errorf("a refused Delete left %+v", seen)
	}
}

func deleteUntil(b *bench) {
	id, other := b.created(), b.created()
	wantGone(b, id)
	b.wantListed(other)
	_, err := b.Provider.Attach(b.ctx, id, b.Places[0])
	b.wantKind(opAttach, id, err, provider.ErrNotFound)
	b.wantKind(opDelete, id, b.Provider.Delete(b.ctx, id), provider.ErrNotFound)
}

// wantGone repeats Delete until ErrNotFound. On the way Get says deleting, or
// nothing.
func wantGone(b *bench, id nic.ID) {
	b.t.Helper()
	for range maxSettles {
		if err := b.Provider.Delete(b.ctx, id); errors.Is(err, provider.ErrNotFound) {
			b.wantKind(opDelete, id, err, provider.ErrNotFound)
			got, err := b.Provider.Get(b.ctx, id)
			b.must(err)
			if seen, ok := got[id]; ok {
				b.t.Errorf("Delete says not found, Get says %+v", seen)
			}
			return
		} else if err != nil {
			b.t.Fatal(err)
		}
		got, err := b.Provider.Get(b.ctx, id)
		b.must(err)
		if seen, ok := got[id]; ok && seen.State != nic.StateDeleting {
			b.t.Fatalf("Get says %s after Delete", seen.State)
		}
		b.settle()
	}
	b.t.Fatalf("%s is being deleted for ever", id)
}

// deleteYoung: ErrNotFound from Delete is final, so a NIC too young to be seen
// must not be given it.
func deleteYoung(b *bench) {
	id := b.newID()
	_, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	for range maxSettles {
		err := b.Provider.Delete(b.ctx, id)
		if errors.Is(err, provider.ErrNotFound) {
			break
		}
		if err != nil {
			b.wantKind(opDelete, id, err, provider.ErrBusy) // being made
		}
		b.settle()
	}
	for range maxSettles { // nothing turns up afterwards
		b.settle()
	}
	b.wantListed()
}

func deleteUnknown(b *bench) {
	for _, id := range []nic.ID{nic.NewID(), "nic-/", "../nic"} {
		b.wantKind(opDelete, id, b.Provider.Delete(b.ctx, id), provider.ErrNotFound)
	}
}
