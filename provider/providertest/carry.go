package providertest

import (
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// carried: what was made for one node serves on another and back, as the same NIC,
// although its spec stays that of the first. A Create in between finds it where it
// is, and makes no other.
func carried(b *bench) { carry(b, func() {}) }

// carriedAcrossRestarts: the same, with a controller that starts anew at each stop.
func carriedAcrossRestarts(b *bench) { carry(b, b.restart) }

func carry(b *bench, between func()) {
	if b.bound() {
		if b.info.Travel != provider.Rebuild {
			b.t.Errorf("travel %q of a NIC that cannot be elsewhere; want %q", b.info.Travel, provider.Rebuild)
		}
		return
	}
	id := b.newID()
	spec := b.spec(id)
	spec.Node = b.Places[0].Node
	if placer, ok := provider.As[provider.Placer](b.Provider); ok {
		var err error
		spec, err = placer.Place(b.ctx, spec, nic.Node{
			Schema: nic.Schema, Name: b.Places[0].Node, Instances: map[string]nic.InstanceID{b.info.Name: b.Places[0].Instance},
		})
		b.must(err)
	}
	first, err := b.Provider.Create(b.ctx, spec)
	b.must(err)
	first = b.until(first.NIC, nic.StateAvailable, nic.StateCreating)
	for _, place := range []nic.Place{b.Places[0], b.Places[1], b.Places[0], b.Places[1]} {
		between()
		seen := b.attach(id, place)
		wantSameNIC(b, first, seen)
		if seen.Place != place || seen.Device.MAC != first.MAC {
			b.t.Fatalf("attached as %+v; want MAC %s at %+v", seen, first.MAC, place)
		}
		between()
		again, err := b.Provider.Create(b.ctx, spec)
		b.must(err)
		wantSameNIC(b, first, again)
		if again.State != nic.StateAttached || again.Place != place {
			b.t.Errorf("Create again says %+v; want it attached at %+v", again, place)
		}
		b.wantListed(id)
		b.must(b.detaching(id, place.Instance))
		between()
		b.detach(id, place.Instance)
		again, err = b.Provider.Create(b.ctx, spec)
		b.must(err)
		wantSameNIC(b, first, again)
		if again.State != nic.StateAvailable || again.Place != (nic.Place{}) {
			b.t.Errorf("Create again says %+v; want it available nowhere", again)
		}
	}
}

// off: the word that nothing can run on a machine is never given of one that runs,
// or of one that is not known.
func off(b *bench) {
	power, ok := provider.As[provider.Powered](b.Provider)
	if !ok {
		return
	}
	at := b.Places[0].Instance
	want := func(want bool) {
		b.t.Helper()
		got, err := power.Off(b.ctx, at)
		b.must(err)
		if got != want {
			b.t.Errorf("off: %t; want %t", got, want)
		}
	}
	want(false)
	b.SetOff(at, true)
	want(true)
	if got, err := power.Off(b.ctx, b.Places[1].Instance); err != nil || got {
		b.t.Errorf("another machine is off: %t, %v", got, err)
	}
	b.SetOff(at, false)
	want(false)
	if b.Fail != nil {
		b.Fail(opOff, provider.ErrUnknown)
		got, err := power.Off(b.ctx, at)
		b.wantKind(opOff, "", err, provider.ErrUnknown)
		if got {
			b.t.Error("a failed call says that the machine is off")
		}
	}
	got, err := power.Off(b.ctx, "no-such-instance")
	b.wantKind(opOff, "", err, provider.ErrNotFound)
	if got {
		b.t.Error("a machine that is not known is said to be off")
	}
}
