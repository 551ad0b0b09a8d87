package providertest

import (
	"errors"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func attachSays(b *bench) {
	id := b.created()
	at := b.Places[0]
	said, err := b.Provider.Attach(b.ctx, id, at)
	b.must(err)
	if s := said.State; said.NIC != id || s != nic.StateAttaching && s != nic.StateAttached {
		b.t.Errorf("Attach says %+v; want attaching or attached", said)
	}
	seen := b.until(id, nic.StateAttached, nic.StateAttaching)
	if seen.Place != at {
		b.t.Errorf("attached at %+v; want %+v", seen.Place, at)
	}
	if seen.Device.Kind == "" || seen.Device.MAC.IsZero() || seen.Device.MAC != seen.MAC {
		b.t.Errorf("attached with recipe %+v; want a kind and the MAC %s", seen.Device, seen.MAC)
	}
	// A VLAN is made by its node of what the provider plugs in.
	if made := seen.Device.Kind.Made() && seen.Device.Kind != nic.VLAN; made != (b.NodeClean != nil) {
		b.t.Errorf("recipe %q does not fit the rig: nodes report clean %t", seen.Device.Kind, b.NodeClean != nil)
	}
}

func attachTwice(b *bench) {
	id := b.created()
	before := b.free(b.Places[0].Instance)
	_, err := b.Provider.Attach(b.ctx, id, b.Places[0])
	b.must(err)
	if _, err = b.Provider.Attach(b.ctx, id, b.Places[0]); err != nil {
		b.wantKind(opAttach, id, err, provider.ErrBusy) // on its way there
	}
	b.until(id, nic.StateAttached, nic.StateAttaching)
	seen, err := b.Provider.Attach(b.ctx, id, b.Places[0])
	b.must(err)
	if seen.State != nic.StateAttached || seen.Place != b.Places[0] || seen.Device.Kind == "" {
		b.t.Errorf("Attach where it is says %+v", seen)
	}
	if free := b.free(b.Places[0].Instance); free != before-1 {
		b.t.Errorf("%d slots free after %d and one NIC", free, before)
	}
}

func attachElsewhere(b *bench) {
	id := b.created()
	_, err := b.Provider.Attach(b.ctx, id, b.Places[0])
	b.must(err)
	_, err = b.Provider.Attach(b.ctx, id, b.Places[1])
	b.wantKind(opAttach, id, err, provider.ErrElsewhere, provider.ErrBusy)
	b.until(id, nic.StateAttached, nic.StateAttaching)
	_, err = b.Provider.Attach(b.ctx, id, b.Places[1])
	b.wantKind(opAttach, id, err, provider.ErrElsewhere)
	if seen := b.until(id, nic.StateAttached); seen.Place != b.Places[0] {
		b.t.Errorf("a refused Attach moved it to %+v", seen.Place)
	}
}

// attachBound: what is made of a node's own is nowhere else, and stays as it is when
// it is wanted there.
func attachBound(b *bench) {
	if !b.bound() {
		return
	}
	id := b.created()
	_, err := b.Provider.Attach(b.ctx, id, b.Places[1])
	b.wantKind(opAttach, id, err, provider.ErrInvalid)
	if seen := b.until(id, nic.StateAvailable); seen.Place != (nic.Place{}) {
		b.t.Errorf("a refused Attach left %+v", seen)
	}
	b.attach(id, b.Places[0])
}

func attachUnknown(b *bench) {
	for _, id := range []nic.ID{nic.NewID(), "nic-/", "../nic"} {
		_, err := b.Provider.Attach(b.ctx, id, b.Places[0])
		b.wantKind(opAttach, id, err, provider.ErrNotFound)
	}
	b.wantListed()
}

func attachSurvivesRestart(b *bench) {
	id := b.attached(b.Places[0])
	before := b.until(id, nic.StateAttached)
	b.restart()
	after := b.until(id, nic.StateAttached)
	if after.Place != before.Place || after.MAC != before.MAC || after.Device.Kind != before.Device.Kind {
		b.t.Errorf("before the restart %+v, after it %+v", before, after)
	}
	_, err := b.Provider.Attach(b.ctx, id, b.Places[1])
	b.wantKind(opAttach, id, err, provider.ErrElsewhere)
}

func attachAgain(b *bench) {
	id := b.created()
	mac := b.until(id, nic.StateAvailable).MAC
	places := []nic.Place{b.Places[0], b.Places[0], b.Places[1], b.Places[0]}
	if b.bound() {
		places[2] = b.Places[0]
	}
	for _, place := range places {
		seen := b.attach(id, place)
		if seen.Place != place || seen.MAC != mac || seen.Device.MAC != mac {
			b.t.Fatalf("attached as %+v; want MAC %s at %+v", seen, mac, place)
		}
		b.detach(id, place.Instance)
		if seen := b.until(id, nic.StateAvailable); seen.Place != (nic.Place{}) || seen.MAC != mac {
			b.t.Fatalf("detached as %+v; want MAC %s and no place", seen, mac)
		}
	}
	b.wantListed(id)
}

func slotLimit(b *bench) {
	at := b.Places[0]
	limits, err := b.Provider.Limits(b.ctx, at.Instance)
	b.must(err)
	if limits.NICs < limits.Free || limits.Free < 1 || limits.AddrsPerNIC < 1 {
		b.t.Fatalf("limits %+v of an instance with none of our NICs", limits)
	}
	var plugged []nic.ID
	for left := limits.Free; left > 0; left-- {
		if free := b.free(at.Instance); free != left {
			b.t.Fatalf("%d slots free with %d NICs plugged in; want %d", free, len(plugged), left)
		}
		plugged = append(plugged, b.attached(at))
	}
	extra := b.created()
	_, err = b.Provider.Attach(b.ctx, extra, at)
	b.wantKind(opAttach, extra, err, provider.ErrExhausted)
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Scope != provider.ScopeNode {
		b.t.Errorf("exhausted with scope %q; want %q", e.Scope, provider.ScopeNode)
	}
	if free := b.free(at.Instance); free != 0 {
		b.t.Errorf("%d slots free on a full instance", free)
	}
	if seen := b.until(extra, nic.StateAvailable); seen.Place != (nic.Place{}) {
		b.t.Errorf("a refused Attach left %+v", seen)
	}
	_, err = b.Provider.Attach(b.ctx, plugged[0], at)
	b.must(err) // a full instance does not forget what it has
	b.detach(plugged[0], at.Instance)
	if b.bound() {
		b.must(b.remove(plugged[0]))
	}
	if free := b.free(at.Instance); free != 1 {
		b.t.Errorf("%d slots free after one NIC left a full instance; want 1", free)
	}
	b.attach(extra, at)
}

func limitsUnknown(b *bench) {
	_, err := b.Provider.Limits(b.ctx, "no-such-instance")
	b.wantKind(opLimits, "", err, provider.ErrNotFound, provider.ErrInvalid)
}
