//go:build linux

package cloudrig

import (
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// public are the account's public addresses.
func (r *Rig) public() []cloudsim.Address {
	r.T.Helper()
	page, err := r.Site.Cloud.DescribeAddresses(r.T.Context(), cloudsim.Call{Caller: Admin}, cloudsim.Describe{})
	r.Must(err)
	return page.Items
}

// APublicAddressComesAndGoes: a container of a network that publishes gets one public
// address on its interface, also where the reply to each call that makes one is lost,
// keeps it through a restart, and gives it back when it goes.
func (w World) APublicAddressComesAndGoes(t *testing.T) {
	t.Parallel()
	v := w.Vendor
	r := w.Start(t, Options{Type: v.Type, Networks: func(r *Rig) string { return r.Network("public", "publicIP: true") }})
	vm1 := r.Agents[0]
	for _, api := range []string{v.Allocate, v.Associate, v.Disassociate, v.Release} {
		r.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: api})
	}
	r.Run(vm1, "web", "public")
	eni := r.CardIs(vm1, "web")
	var has cloudsim.Address
	on := func() error {
		all := r.public()
		if len(all) != 1 || all[0].Interface != eni.ID {
			return fmt.Errorf("there are %+v", all)
		}
		has = all[0]
		return nil
	}
	r.Must(fleet.Until(t.Context(), "a public address on "+eni.ID, on))
	r.Says("web", has.Public.String())
	_, err := vm1.Docker(t.Context(), "restart", "-t", "1", "web")
	r.Must(err)
	before := has
	if again := r.CardIs(vm1, "web"); again.ID != eni.ID || on() != nil || has.Allocation != before.Allocation {
		t.Errorf("before a restart %s with %+v, after it %s with %+v", eni.ID, before, again.ID, r.public())
	}
	r.Remove(vm1, "web", eni)
	r.Must(fleet.Until(t.Context(), "no public address to be left", func() error {
		if all := r.public(); len(all) > 0 {
			return fmt.Errorf("there are %+v", all)
		}
		return nil
	}))
	if did := r.Effects(0); did[v.Allocate] != 1 || did[v.Release] != 1 {
		t.Errorf("the calls that changed something are %v, want one address made and released", did)
	}
}
