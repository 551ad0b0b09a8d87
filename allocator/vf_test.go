package allocator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/sriov"
)

// vfsOf are the VFs of all NICs that a claim holds, by their address; no two have one.
func (r *rig) vfsOf() map[string]nic.ID {
	r.t.Helper()
	all, _, err := store.ListJSON[nic.NIC](r.t.Context(), r.store, "nic/", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	whose := map[string]nic.ID{}
	for _, n := range all {
		pci := n.Value.Seen.Device.VF.PCI
		if pci == "" {
			continue
		}
		if other, taken := whose[pci]; taken {
			r.t.Errorf("VF %s is of NIC %s and of NIC %s", pci, other, n.Value.ID)
		}
		whose[pci] = n.Value.ID
	}
	return whose
}

// in counts the claims by phase.
func (r *rig) in(claims []nic.Claim) map[nic.ClaimPhase][]nic.Claim {
	phases := map[nic.ClaimPhase][]nic.Claim{}
	for _, c := range claims {
		now := r.claim(c.ID)
		phases[now.Phase] = append(phases[now.Phase], now)
	}
	return phases
}

// TestF40_ManyClaimsFewVFs: of more claims than VFs, at once, as many are served as
// there are VFs, each with its own. The others are told why, and served as VFs come
// back; in the end nothing is left.
func TestF40_ManyClaimsFewVFs(t *testing.T) {
	t.Parallel()
	const count, takers = 7, 32
	vfs(t, count, func(t *testing.T, r *rig) {
		claims := make([]nic.Claim, takers)
		for i := range claims {
			claims[i] = r.acquire(fmt.Sprintf("%04x", i), "strict")
		}
		served := 0
		for served < takers {
			r.wait(2 * time.Minute)
			now := r.in(claims)
			want := min(count, takers-served)
			for range 10 { // one may just be tried again
				if len(now[nic.ClaimReady])+len(now[nic.ClaimRefused]) == takers-served {
					break
				}
				r.wait(time.Second)
				now = r.in(claims)
			}
			if ready, refused := len(now[nic.ClaimReady]), len(now[nic.ClaimRefused]); ready != want || ready+refused != takers-served {
				t.Fatalf("%d claims are served and %d refused; want %d served of %d", ready, refused, want, takers-served)
			}
			if got := r.vfsOf(); len(got) != want {
				t.Errorf("VFs given out: %v; want %d", got, want)
			}
			for _, c := range now[nic.ClaimRefused] {
				if len(c.Conditions) == 0 || c.Conditions[0].Reason != nic.ReasonExhausted || !strings.Contains(c.Conditions[0].Message, "VF") {
					t.Errorf("refused with %+v; want that no VF is free", c.Conditions)
				}
			}
			for _, c := range now[nic.ClaimReady] {
				r.report(c, nic.ObservedIn, true)
				r.giveBack(c)
			}
			r.wait(2 * time.Minute)
			if got := r.vfsOf(); len(got) != want { // silence is not clean
				t.Errorf("before the node has said that they are clean, %d VFs are given out; want %d", len(got), want)
			}
			for _, c := range now[nic.ClaimReady] {
				r.report(r.claim(c.ID), nic.ObservedClean, false)
			}
			served += want
		}
		r.wait(time.Minute)
		left, _, err := r.store.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range left {
			if !strings.HasPrefix(rec.Key, "node/") && !strings.HasPrefix(rec.Key, "leader/") {
				t.Errorf("left in the store: %s = %s", rec.Key, rec.Value)
			}
		}
	})
}

// What processors a container is bound to decides which of two cards its VF is of.
func TestAContainersProcessorsAreTold(t *testing.T) {
	t.Parallel()
	vfs(t, 4, func(t *testing.T, r *rig) {
		cards := twoCards(4)
		cards[0].NUMA, cards[1].NUMA = 0, 1
		node, err := r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1", Cards: cards})
		if err != nil {
			t.Fatal(err)
		}
		r.node = node
		for i, near := range []int{1, 1, 0} {
			claim, err := r.alloc.Acquire(t.Context(), owner(fmt.Sprintf("%04x", i)), "c", nic.Request{Interface: "eth0", Network: "either", NUMA: new(near)})
			if err != nil {
				t.Fatal(err)
			}
			claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
			if got := r.wanted(claim).Device.VF.PF; got != cards[near].PCI {
				t.Errorf("a container near node %d gets a VF of %s; want one of %s", near, got, cards[near].PCI)
			}
		}
	})
}

// Two networks that give links of different kinds on one card, which only the node's
// cards tell: who is second waits, and its claim says for whom, until the first is gone.
func TestAFallbackBesideAnotherKindIsToldOf(t *testing.T) {
	t.Parallel()
	vfs(t, 0, func(t *testing.T, r *rig) {
		r.stop()
		r.networks = append(r.networks, nic.Network{
			Name: "other", Provider: "cards", Addressing: nic.AddrDHCP, Space: "other", Hold: nic.Duration(time.Minute),
			Functions: nic.Functions{PFs: [][]string{{"ens1f0*"}}, Fallback: []nic.DeviceKind{nic.Ipvlan}},
		})
		r.startVFs()
		first := r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute)
		second := r.wants(r.acquire("0002", "other").ID, nic.ClaimRefused, time.Minute)
		if len(second.Conditions) == 0 || second.Conditions[0].Reason != nic.ReasonExhausted ||
			!strings.Contains(second.Conditions[0].Message, "no ipvlan can be on ens1f0, which carries macvlans of network cards") {
			t.Errorf("refused with %+v", second.Conditions)
		}
		r.free(first)
		second = r.wants(second.ID, nic.ClaimReady, 5*time.Minute)
		if d := r.wanted(second).Device; d.Kind != nic.Ipvlan {
			t.Errorf("with the macvlan gone it has %+v", d)
		}
		r.free(second)
		r.wait(time.Minute)
		r.emptyStore()
	})
}

// Whose VFs are given out is read from the records, for a provider that is called
// otherwise now.
func TestVFsOfAFormerProvider(t *testing.T) {
	t.Parallel()
	vfs(t, 1, func(t *testing.T, r *rig) {
		former := func(name string) map[string][]nic.ID {
			t.Helper()
			found, err := allocator.FormerVFs(t.Context(), r.store, name, sriov.Kept)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		has := r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute)
		fell := r.wants(r.acquire("0002", "cards").ID, nic.ClaimReady, time.Minute)
		if got := former("cards"); len(got) != 0 {
			t.Errorf("of its own: %v", got)
		}
		if got := former("metal"); len(got) != 1 || len(got["cards"]) != 2 || !slices.Contains(got["cards"], has.NIC) || !slices.Contains(got["cards"], fell.NIC) {
			t.Errorf("of a former one: %v; want %s and %s", got, has.NIC, fell.NIC)
		}
		r.free(has)
		r.wait(time.Minute)
		if got := former("metal"); len(got) != 1 || !slices.Equal(got["cards"], []nic.ID{fell.NIC}) {
			t.Errorf("with its VF given back: %v; want %s, which is on a card", got, fell.NIC)
		}
		r.free(fell)
		r.wait(time.Minute)
		if got := former("metal"); len(got) != 0 {
			t.Errorf("with all given back: %v", got)
		}
	})
}
