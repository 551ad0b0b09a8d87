//go:build linux

package aws

import (
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// public are the account's public addresses.
func (r *rig) public() []cloudsim.Address {
	r.t.Helper()
	page, err := r.site.Cloud.DescribeAddresses(r.t.Context(), cloudsim.Call{Caller: admin}, cloudsim.Describe{})
	r.do(err)
	return page.Items
}

// A container of a network that publishes gets one public address on its interface, also
// where the reply to each call that makes one is lost, keeps it through a restart, and
// gives it back when it goes.
func TestF03_APublicAddressComesAndGoes(t *testing.T) {
	t.Parallel()
	r := start(t, options{
		kind: "m5.xlarge",
		networks: func(r *rig) string {
			return fmt.Sprintf("  - {name: public, provider: cloud, addressing: provider, aws: {subnets: [%s], groups: [%s], publicIP: true}}\n",
				r.about.Subnets[0].ID, r.about.Group)
		},
	})
	vm1 := r.Agents[0]
	for _, api := range []string{"AllocateAddress", "AssociateAddress", "DisassociateAddress", "ReleaseAddress"} {
		r.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: api})
	}
	r.run(vm1, "web", "public")
	eni := r.cardIs(vm1, "web")
	var has cloudsim.Address
	on := func() error {
		all := r.public()
		if len(all) != 1 || all[0].Interface != eni.ID {
			return fmt.Errorf("there are %+v", all)
		}
		has = all[0]
		return nil
	}
	r.do(fleet.Until(t.Context(), "a public address on "+eni.ID, on))
	r.says("web", has.Public.String())
	_, err := vm1.Docker(t.Context(), "restart", "-t", "1", "web")
	r.do(err)
	before := has
	if again := r.cardIs(vm1, "web"); again.ID != eni.ID || on() != nil || has.Allocation != before.Allocation {
		t.Errorf("before a restart %s with %+v, after it %s with %+v", eni.ID, before, again.ID, r.public())
	}
	r.remove(vm1, "web", eni)
	r.do(fleet.Until(t.Context(), "no public address to be left", func() error {
		if all := r.public(); len(all) > 0 {
			return fmt.Errorf("there are %+v", all)
		}
		return nil
	}))
	if did := r.effects(0); did["AllocateAddress"] != 1 || did["ReleaseAddress"] != 1 {
		t.Errorf("the calls that changed something are %v, want one address made and released", did)
	}
}
