package allocator_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A node may have so many claims, refused ones included, and another as many
// beside it; those that it has are still its own to ask for and to give back. A
// controller that starts anew knows how many there are.
func TestClaimsOfANodeAreBounded(t *testing.T) {
	t.Parallel()
	const most = 5
	synctest.Test(t, func(t *testing.T) {
		r := newTenantRig(t, nil, fake.Options{})
		r.maxClaims = most
		r.through(func(r *tenantRig) {
			acquire := func(node string, i int) (nic.Claim, error) {
				o := owner(fmt.Sprintf("%04x", i))
				o.Node = node
				claim, err := r.alloc.Acquire(t.Context(), o, "c", nic.Request{Interface: "eth0", Network: "none"})
				synctest.Wait()
				return claim, err
			}
			var first nic.Claim
			for i := range most {
				claim, err := acquire("vm1", i)
				if err != nil || claim.Phase != nic.ClaimRefused {
					t.Fatalf("claim %d is %+v, %v", i, claim, err)
				}
				if i == 0 {
					first = claim
				}
			}
			for range 2 {
				if _, err := acquire("vm1", most); api.CodeOf(err) != api.CodeUnavailable {
					t.Errorf("one more: %v", err)
				}
				r.stop()
				r.begin()
				synctest.Wait()
			}
			if _, err := acquire("vm2", most); err != nil {
				t.Errorf("another node's: %v", err)
			}
			if again, err := acquire("vm1", 0); err != nil || again.ID != first.ID {
				t.Errorf("one that is there: %+v, %v", again, err)
			}
			if err := r.alloc.Release(t.Context(), first.ID, first.Epoch); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if _, err := acquire("vm1", most); err != nil {
				t.Errorf("in the place of one that was given back: %v", err)
			}
		})
	})
}
