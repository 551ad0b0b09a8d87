//go:build linux

package vm

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// The look that ends every test sees what is wrong in a guest, at the hypervisor
// and with what is not ours.
func TestBrokenPromisesAreSeen(t *testing.T) {
	r := use(t)
	foreign := nic.NewMAC()
	foreign[0] = 0x02 // as people draw them
	foreignOut := r.plugByHand("vm1", virt.Interface{Alias: "ua-foreign", MAC: foreign, Port: lanPort()})
	defer foreignOut()
	o := r.promise()
	var err error
	if o.Strangers, err = promise.Strangers(t.Context(), r.Cluster); err != nil {
		t.Fatal(err)
	}
	if found, err := promise.Check(t.Context(), o); err != nil || len(found) > 0 {
		t.Fatalf("before anything is broken: %v, %v", found, err)
	}

	r.sh(r.node(1), "ip link add planted0 address "+nic.NewMAC().String()+" type dummy")
	defer r.sh(r.node(1), "ip link del planted0")
	stray := nic.NewID()
	defer r.plugByHand("vm1", virt.Interface{Alias: aliasPrefix + string(stray), MAC: nic.NewMAC(), Port: lanPort()})()
	foreignOut()
	found, err := promise.Check(t.Context(), o)
	r.must(err)
	for promise, id := range map[string]string{
		invariant.P2: string(stray), invariant.P8: "planted0", invariant.P3: fmt.Sprintf("vm1, live, MAC %s", foreign),
	} {
		if !slices.ContainsFunc(found, func(f invariant.Finding) bool { return f.Promise == promise && slices.Contains(f.IDs, id) }) {
			t.Errorf("%s is not found for %s: %v", promise, id, found)
		}
	}
}
