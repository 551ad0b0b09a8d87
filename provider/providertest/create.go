package providertest

import (
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func infoIsComplete(b *bench) {
	if b.info.Name == "" || b.info.Kind == "" || b.info.WorstCall <= 0 {
		b.t.Errorf("Info %+v: want name, kind and worst call", b.info)
	}
	switch b.info.Travel {
	case provider.Carry, provider.Readdress, provider.Rebuild:
	default:
		b.t.Errorf("Info says travel %q", b.info.Travel)
	}
	if again := b.Provider.Info(); again != b.info {
		b.t.Errorf("Info changed from %+v to %+v", b.info, again)
	}
}

func createTwice(b *bench) {
	id := b.newID()
	first, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	second, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	wantSameNIC(b, first, second)
	if s := first.State; first.NIC != id || s != nic.StateCreating && s != nic.StateAvailable {
		b.t.Errorf("Create says %+v; want NIC %s creating or available", first, id)
	}
	seen := b.until(id, nic.StateAvailable, nic.StateCreating)
	wantSameNIC(b, first, seen)
	if mac := b.spec(id).MAC; !mac.IsZero() && seen.MAC != mac || seen.MAC.IsZero() {
		b.t.Errorf("MAC %q; asked for %q", seen.MAC, mac)
	}
	if b.spec(id).MAC.IsZero() != b.info.DrawsMACs {
		b.t.Errorf("the rig's spec has MAC %q but DrawsMACs is %t", b.spec(id).MAC, b.info.DrawsMACs)
	}
	b.wantListed(id)
}

func createAfterRestart(b *bench) {
	id := b.newID()
	first, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	b.restart()
	second, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	wantSameNIC(b, first, second)
	b.until(id, nic.StateAvailable, nic.StateCreating)
	b.restart()
	third, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	wantSameNIC(b, first, third)
	b.wantListed(id)
}

func wantSameNIC(b *bench, first, second nic.Seen) {
	b.t.Helper()
	if first.NIC != second.NIC || first.ProviderID != second.ProviderID || first.MAC != second.MAC {
		b.t.Errorf("not the same NIC: first %+v, then %+v", first, second)
	}
}

func createOther(b *bench) {
	other := b.Other
	if other == nil {
		other = func(spec nic.Spec) nic.Spec {
			spec.MTU = 1234
			return spec
		}
	}
	id := b.created()
	_, err := b.Provider.Create(b.ctx, other(b.spec(id)))
	b.wantKind(opCreate, id, err, provider.ErrInvalid)
	_, err = b.Provider.Create(b.ctx, b.spec(id))
	b.must(err) // the first is untouched
	b.wantListed(id)
}

func createAttached(b *bench) {
	id := b.attached(b.Places[0])
	seen, err := b.Provider.Create(b.ctx, b.spec(id))
	b.must(err)
	if seen.State != nic.StateAttached || seen.Place != b.Places[0] {
		b.t.Errorf("Create of an attached NIC says %+v", seen)
	}
}

func getUnknown(b *bench) {
	known, unknown := b.created(), nic.NewID()
	for _, strange := range []nic.ID{unknown, "", "../nic", "nic-/"} {
		got, err := b.Provider.Get(b.ctx, known, strange)
		b.must(err)
		if _, ok := got[strange]; ok || len(got) != 1 || got[known].NIC != known {
			b.t.Errorf("Get of %s and the unknown %q says %+v", known, strange, got)
		}
	}
	got, err := b.Provider.Get(b.ctx)
	b.must(err)
	if len(got) != 0 {
		b.t.Errorf("Get of nothing says %+v", got)
	}
}

func listHasAll(b *bench) {
	b.wantListed()
	loose, plugged, leaving := b.created(), b.attached(b.Places[0]), b.attached(b.Places[1])
	b.must(b.detaching(leaving, b.Places[1].Instance))
	b.wantListed(loose, plugged, leaving)
	b.restart()
	b.wantListed(loose, plugged, leaving)

	// List and Get say the same of what does not change.
	listed, err := b.Provider.List(b.ctx)
	b.must(err)
	got, err := b.Provider.Get(b.ctx, loose, plugged)
	b.must(err)
	for _, seen := range listed {
		if g, ok := got[seen.NIC]; ok && (g.State != seen.State || g.Place != seen.Place || g.MAC != seen.MAC) {
			b.t.Errorf("List says %+v, Get says %+v", seen, g)
		}
	}
}
