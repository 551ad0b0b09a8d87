package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// Each NIC of a cloud has a MAC and addresses of its own: those of the last one are
// not asked for again, neither after the hold nor after a NIC that was never seen.
func TestACloudsNextNIC(t *testing.T) {
	for name, lose := range map[string]func(*rig, nic.Claim){
		"after the hold": func(r *rig, claim nic.Claim) {
			r.report(claim, nic.ObservedIn, true)
			r.report(claim, nic.ObservedMade, false)
			r.wait(2 * time.Minute)
			r.report(claim, nic.ObservedClean, false)
			r.wait(2 * time.Minute)
			r.acquire("0001", "vpc")
		},
		"F09: never seen": func(r *rig, claim nic.Claim) {
			said := nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, Running: true, State: nic.ObservedWaiting}
			said.Conditions = []nic.Condition{{Reason: nic.ReasonWaitingForNIC, Message: "not here"}}
			if err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{said}}); err != nil {
				r.t.Fatal(err)
			}
			r.wait(time.Minute)
			r.report(claim, nic.ObservedClean, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
				first := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Second)
				lose(r, first)
				second := r.wants(first.ID, nic.ClaimReady, time.Minute)
				if second.NIC == first.NIC || second.Identity.MAC == first.Identity.MAC || second.Identity.MAC.IsZero() || !second.Identity.Given {
					t.Errorf("%s with %+v after %s with %+v", second.NIC, second.Identity, first.NIC, first.Identity)
				}
			})
		})
	}
}

// F16: a cloud that has no place for a NIC, since a right is missing or a subnet is
// another zone's, is asked now and then, however often the node asks.
func TestF16_ACloudThatRefusesIsAskedSeldom(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
		for range 1000 {
			r.cloud.Fail(fake.OpPlace, &provider.Error{Kind: provider.ErrDenied, Scope: provider.ScopeAccount})
		}
		claim := r.acquire("0001", "vpc")
		for range 600 {
			r.wait(time.Second)
			r.acquire("0001", "vpc")
		}
		if n := r.cloud.Counts()[fake.OpPlace].Calls; n < 10 || n > 50 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if got := r.claim(claim.ID); got.Phase != nic.ClaimRefused || len(got.Conditions) != 1 || got.Conditions[0].Reason != nic.ReasonProviderError || got.Conditions[0].Deadline.IsZero() {
			t.Errorf("the user is told %s %+v", got.Phase, got.Conditions)
		}
	})
}

// A strict provider does not take what is asked of one machine any more.
type strict struct {
	*fake.Provider
	machine nic.InstanceID
}

func (p strict) Limits(ctx context.Context, of nic.InstanceID) (provider.Limits, error) {
	if of == p.machine {
		return provider.Limits{}, &provider.Error{Provider: "fake", Op: "limits", Kind: provider.ErrInvalid, Scope: provider.ScopeNode, Err: errors.New("the parameter cannot be used with the others")}
	}
	return p.Provider.Limits(ctx, of)
}

// F19: a provider is stricter of a sudden. What it refuses of one node is told there;
// the other's containers have their NICs, and so they do after the controller's next
// start, which waits for nothing.
func TestF19_AStricterProviderDegradesOneNode(t *testing.T) {
	cloudBubble(t, inTheCloud(), func(*nic.Network) {}, func(t *testing.T, r *rig) {
		r.via = strict{r.cloud, "vm1"}
		r.crash()
		r.joinVM2()
		for _, name := range []string{"a001", "a002"} {
			refused := r.acquire(name, "vpc")
			well, err := r.alloc.Acquire(t.Context(), onVM2(name), name, nic.Request{Interface: "eth0", Network: "vpc", DefaultRoute: true})
			if err != nil {
				t.Fatal(err)
			}
			r.wants(well.ID, nic.ClaimReady, time.Second)
			if got := r.claim(refused.ID); got.Phase != nic.ClaimRefused || !strings.Contains(fmt.Sprint(got.Conditions), "cannot be used with the others") {
				t.Errorf("vm1's claim is %s: %+v", got.Phase, got.Conditions)
			}
			r.crash()
		}
		r.via = nil
		r.crash()
		r.wait(time.Minute)
		if got := r.acquire("a001", "vpc"); got.Phase != nic.ClaimReady {
			t.Errorf("once it takes what it took, vm1's claim is %s: %+v", got.Phase, got.Conditions)
		}
	})
}
