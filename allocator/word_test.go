package allocator_test

import (
	"fmt"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A node that says again and again that other links are left there, which are
// not, does not fill the store.
func TestStraysAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		stop := r.answers(func() (c nic.Census) {
			for i := range 320 {
				c.Strays = append(c.Strays, nic.Stray{Link: fmt.Sprintf("nf%d", i), Kind: "veth", NIC: nic.NewID(), Bridge: "nf-x", MAC: nic.NewMAC()})
			}
			return c
		})
		defer stop()
		r.wait(0) // until the controller leads
		findings := 0
		for range 6 {
			audit, err := r.alloc.Audit(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			findings = max(findings, len(audit.Findings))
		}
		records, _, err := r.store.List(t.Context(), "nic/", "", 0)
		if err != nil || len(records) > 1024 || len(records) < 256 || findings > 300 {
			t.Errorf("%d records, up to %d findings, %v", len(records), findings, err)
		}
	})
}
