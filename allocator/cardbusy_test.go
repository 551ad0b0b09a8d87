package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A link that a node cannot make because its card carries another kind, of which no
// ledger knows, is placed anew: as the other kind if the network takes that.
func TestALinkOnABusyCardIsPlacedAnew(t *testing.T) {
	t.Parallel()
	vfs(t, 0, func(t *testing.T, r *rig) {
		r.stop()
		r.networks = append(r.networks, nic.Network{
			Name: "any", Provider: "cards", Addressing: nic.AddrDHCP, Space: "other", Hold: nic.Duration(time.Minute),
			Functions: nic.Functions{PFs: [][]string{{"ens1f0"}}, Fallback: []nic.DeviceKind{nic.Ipvlan, nic.Macvlan}},
		})
		r.startVFs()
		claim := r.wants(r.acquire("0001", "any").ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(claim).Device; d.Kind != nic.Ipvlan {
			t.Fatalf("at first it has %+v", d)
		}
		r.cannotFor(claim, nic.ReasonCardBusy, "the card carries macvlans")
		claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(claim).Device; d.Kind != nic.Macvlan || d.Parent != "ens1f0" {
			t.Errorf("placed anew it has %+v; want the other kind", d)
		}
		r.cannotFor(claim, nic.ReasonCardBusy, "the card carries ipvlans")
		claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(claim).Device; d.Kind != nic.Ipvlan {
			t.Errorf("when neither did it has %+v; want the first again", d)
		}
		r.free(claim)
		r.wait(time.Minute)
		r.emptyStore()
	})
}
