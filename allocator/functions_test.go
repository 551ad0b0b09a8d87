package allocator_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/sriov"
)

// vfs runs test with an allocator over the cards of "vm1", which has told of as many
// VFs. Network "cards" gives those, "strict" without a fallback.
func vfs(t *testing.T, count int, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: memstore.New(memstore.Options{})}
		on := func(name string, f nic.Functions) nic.Network {
			return nic.Network{
				Name: name, Provider: "cards", Addressing: nic.AddrDHCP, Space: name, Hold: nic.Duration(time.Minute), Functions: f,
			}
		}
		r.networks = []nic.Network{
			on("cards", nic.Functions{PFs: [][]string{{"ens1f0"}}, Fallback: []nic.DeviceKind{nic.Macvlan}}),
			on("either", nic.Functions{PFs: [][]string{{"ens1f*"}}}),
			on("strict", nic.Functions{PFs: [][]string{{"ens1f0"}}}),
			{
				Name: "user", Provider: "cards", Addressing: nic.AddrDHCP, Space: "user", Hold: nic.Duration(time.Minute),
				Preplug: nic.Duration(10 * time.Minute), Functions: nic.Functions{PFs: [][]string{{"ens1f0"}}, UserSpace: true},
			},
			on("bonds", nic.Functions{PFs: [][]string{{"ens1f0"}, {"ens1f1"}}, Bond: nic.BondActiveBackup}),
		}
		r.startVFs()
		r.helloVFs("b1", count)
		test(t, r)
		r.stop()
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) startVFs() {
	r.t.Helper()
	p, err := sriov.New(sriov.Options{Name: "cards", Ledger: allocator.NewLedger(r.store, "cards"), Nodes: allocator.NewNodes(r.store, "cards")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.startWith(allocator.Options{Store: r.store, Providers: map[string]provider.Provider{"cards": p}, Networks: r.networks})
}

// twoCards are two of so many VFs each, all free.
func twoCards(count int) []nic.Card {
	var cards []nic.Card
	for pf := range 2 {
		digit := string(rune('0' + pf))
		card := nic.Card{PCI: "0000:03:00." + digit, Name: "ens1f" + digit, NUMA: -1, Carrier: true, MAC: nic.NewMAC()}
		for i := range count {
			n := string(rune('0' + i))
			card.VFs = append(card.VFs, nic.CardVF{PCI: "0000:03:1" + digit + "." + n, Index: i, Name: "VF" + digit + "n" + n, Used: "free"})
		}
		cards = append(cards, card)
	}
	return cards
}

func (r *rig) helloVFs(boot string, count int) {
	r.t.Helper()
	node, err := r.alloc.Hello(r.t.Context(), "vm1", nic.Inventory{Boot: boot, Cards: twoCards(count)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.node = node
}

// wanted is what is wanted of the claim's NIC.
func (r *rig) wanted(claim nic.Claim) nic.Wanted {
	r.t.Helper()
	all, _, err := r.alloc.Wanted(r.t.Context(), "vm1", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(w nic.Wanted) bool { return w.NIC == claim.NIC })
	if i < 0 {
		r.t.Fatalf("NIC %s is not wanted: %+v", claim.NIC, all)
	}
	return all[i]
}

// free gives a claim back that is out of its container.
func (r *rig) free(claim nic.Claim) {
	r.t.Helper()
	if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
		r.t.Fatal(err)
	}
	r.report(claim, nic.ObservedClean, false)
}

func (r *rig) reasons(id nic.ClaimID) string {
	var words []string
	for _, c := range r.claim(id).Conditions {
		words = append(words, string(c.Reason))
	}
	return strings.Join(words, " ")
}

// S0, F41: how a VF was set before is kept from the node's first word of a boot on,
// whatever it says later in that boot; the node gets it back with the recipe, and is
// woken for it. Another boot's word is taken in that boot alone.
func TestFormerSettingsAreTheFirstOfTheBoot(t *testing.T) {
	vfs(t, 2, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute)
		tell := func(boot string, macs ...string) {
			t.Helper()
			o := nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedWaiting, Running: true}
			for _, text := range macs {
				mac, err := nic.ParseMAC(text)
				if err != nil {
					t.Fatal(err)
				}
				o.Former = append(o.Former, nic.VFWas{Boot: boot, Settings: nic.VFSettings{MAC: mac}})
			}
			if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{o}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		check := func(when, boot, mac string) {
			t.Helper()
			if was := r.wanted(claim).Device.VF.Was; was.Boot != boot || was.Settings.MAC.String() != mac {
				t.Errorf("%s: the recipe says that it was %+v, want MAC %q of boot %q", when, was, mac, boot)
			}
		}
		w := r.wanted(claim)
		if w.Device.Kind != nic.SRIOV || w.Device.VF.PCI == "" || w.Device.VF.Set.MAC != claim.Identity.MAC {
			t.Fatalf("wanted %+v", w.Device)
		}
		check("before its word", "", "")
		tell("b1") // that it waits
		_, rev, err := r.alloc.Wanted(t.Context(), "vm1", r.node.Session)
		if err != nil {
			t.Fatal(err)
		}
		woken := make(chan struct{})
		go func() {
			defer close(woken)
			if _, err := r.alloc.WaitChange(t.Context(), "vm1", rev); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		tell("b0", "02:00:00:00:00:01")
		tell("b1", "02:00:00:00:00:01", "02:00:00:00:00:01")
		check("words of another boot, or of more VFs", "", "")
		select {
		case <-woken:
			t.Error("the node was woken for nothing")
		default:
		}
		tell("b1", "02:00:00:00:00:01")
		check("its word", "b1", "02:00:00:00:00:01")
		<-woken
		tell("b1", "02:00:00:00:00:02")
		check("another word in that boot", "b1", "02:00:00:00:00:01")
		tell("b1")
		check("nothing of it said", "b1", "02:00:00:00:00:01")
		r.stop()
		r.startVFs()
		check("another controller", "b1", "02:00:00:00:00:01")
		r.helloVFs("b2", 2)
		tell("b1", "02:00:00:00:00:03")
		check("a late word", "b1", "02:00:00:00:00:01")
		tell("b2", "02:00:00:00:00:04")
		check("the next boot", "b2", "02:00:00:00:00:04")
	})
}

// S0: a bond's recipe carries what each member was, and members are told of one by one.
func TestFormerSettingsOfABondsMembers(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "bonds").ID, nic.ClaimReady, time.Minute)
		for _, boots := range [][]string{{"b1", ""}, {"b1", "b1"}} {
			o := nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedWaiting}
			for _, boot := range boots {
				o.Former = append(o.Former, nic.VFWas{Boot: boot})
			}
			if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{o}}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range r.wanted(claim).Device.Bond.Members {
				got = append(got, m.Was.Boot)
			}
			if !slices.Equal(got, boots) {
				t.Errorf("told %q, the recipe has %q", boots, got)
			}
		}
		view, err := r.alloc.NIC(t.Context(), claim.NIC)
		if err != nil || len(view.Former) != 2 || view.Seen.Device.Bond.Members[0].Was.Boot != "" {
			t.Errorf("NIC %+v, %v; want both former settings, and the provider's recipe as it was", view.NIC, err)
		}
	})
}

// S0-11: who finds no VF free gets what the network falls back to, and people see so
// on the claim; another network's container waits, and gets the VF as soon as its last
// owner's is deleted.
func TestWithoutAVFThereIsAFallbackOrAWait(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		first := r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute)
		if got := r.reasons(first.ID); got != "" || r.wanted(first).Device.Kind != nic.SRIOV {
			t.Errorf("the first has %s, %q; want a VF and no condition", r.wanted(first).Device.Kind, got)
		}
		second := r.wants(r.acquire("0002", "cards").ID, nic.ClaimReady, time.Minute)
		if d := r.wanted(second).Device; d.Kind != nic.Macvlan || d.Parent != "ens1f0" || d.MAC != second.Identity.MAC {
			t.Errorf("the second has %+v, want a macvlan on the card", d)
		}
		c := r.claim(second.ID).Conditions
		if len(c) != 1 || c[0].Reason != nic.ReasonFellBack || !strings.Contains(c[0].Message, "nicferry promote "+string(second.ID)) {
			t.Errorf("the second's conditions: %+v", c)
		}
		third := r.acquire("0003", "strict")
		r.wants(third.ID, nic.ClaimRefused, time.Minute)
		if got := r.reasons(third.ID); got != string(nic.ReasonExhausted) {
			t.Errorf("the third is refused with %q", got)
		}
		r.wait(time.Second)
		r.report(first, nic.ObservedIn, true)
		r.free(first)
		third = r.wants(third.ID, nic.ClaimReady, 3*time.Second)
		if d := r.wanted(third).Device; d.Kind != nic.SRIOV {
			t.Errorf("the third has %+v, want the VF that came free", d)
		}
		r.free(second)
		r.free(third)
		r.wait(time.Minute)
		r.emptyStore()
	})
}

// A claim that waits for a VF gets one as soon as its node tells of a free one.
func TestNewsOfACardServesWhoWaits(t *testing.T) {
	vfs(t, 0, func(t *testing.T, r *rig) {
		claim := r.acquire("0001", "strict")
		r.wants(claim.ID, nic.ClaimRefused, time.Minute)
		cards := twoCards(1)
		if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, Cards: &cards}); err != nil {
			t.Fatal(err)
		}
		r.wants(claim.ID, nic.ClaimReady, 3*time.Second)
	})
}

// S0-11: a VF is the next one's at once when its node says that it is clean, whether that
// it is free is told before, with it or after: NICs and cards are one write.
func TestNewsOfACardComeWithNewsOfItsNIC(t *testing.T) {
	for _, how := range []string{"before", "with it", "after"} {
		t.Run(how, func(t *testing.T) {
			vfs(t, 1, func(t *testing.T, r *rig) {
				free, used := twoCards(1), twoCards(1)
				used[0].VFs[0].Used = "elsewhere"
				has := r.wants(r.acquire("0001", "strict").ID, nic.ClaimReady, time.Minute)
				tell := func(cards *[]nic.Card, clean bool) {
					t.Helper()
					report := nic.NodeReport{Session: r.node.Session, Cards: cards}
					if clean {
						report.NICs = []nic.Observed{{NIC: has.NIC, Claim: has.ID, Epoch: has.Epoch, State: nic.ObservedClean}}
					}
					if err := r.alloc.Report(t.Context(), "vm1", report); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				r.report(has, nic.ObservedIn, true)
				tell(&used, false)
				waits := r.acquire("0002", "strict")
				r.wants(waits.ID, nic.ClaimRefused, time.Minute)
				if err := r.alloc.Release(t.Context(), has.ID, has.Epoch); err != nil {
					t.Fatal(err)
				}
				r.wait(time.Second)
				switch how {
				case "before":
					tell(&free, false)
					r.wait(time.Second)
					tell(nil, true)
				case "with it":
					tell(&free, true)
				case "after":
					tell(nil, true)
					r.wait(time.Second)
					tell(&free, false)
				}
				r.wants(waits.ID, nic.ClaimReady, 3*time.Second)
			})
		})
	}
}

// cannot has the node say that it cannot make the claim's NIC of its VFs, and then, once
// that has lasted, that the NIC is gone.
func (r *rig) cannot(claim nic.Claim, why string) {
	r.t.Helper()
	r.cannotFor(claim, nic.ReasonVFUnusable, why)
}

func (r *rig) cannotFor(claim nic.Claim, reason nic.Reason, why string) {
	r.t.Helper()
	o := nic.Observed{
		NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedWaiting, Running: true,
		Conditions: []nic.Condition{{Reason: reason, Message: why}},
	}
	if err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{o}}); err != nil {
		r.t.Fatal(err)
	}
	r.wait(29 * time.Second)
	if w := r.wanted(claim); w.Gone || !strings.HasPrefix(r.reasons(claim.ID), string(reason)) {
		r.t.Fatalf("before its time: %+v, %q", w, r.reasons(claim.ID))
	}
	r.wait(2 * time.Second)
	if w := r.wanted(claim); !w.Gone {
		r.t.Fatalf("after half a minute it is wanted still: %+v", w)
	}
	r.report(claim, nic.ObservedClean, true)
}

// A VF that its node cannot make a NIC of is not tried again while there are others, and
// after two the claim gets what its network gives instead.
func TestF40_AVFThatCannotBeMadeIsPlacedAnew(t *testing.T) {
	vfs(t, 3, func(t *testing.T, r *rig) {
		claim, tried := r.wants(r.acquire("0001", "cards").ID, nic.ClaimReady, time.Minute), map[string]bool{}
		for range 2 {
			d := r.wanted(claim).Device
			if d.Kind != nic.SRIOV || tried[d.VF.PCI] {
				t.Fatalf("after %v it has %+v", tried, d)
			}
			tried[d.VF.PCI] = true
			r.cannot(claim, "the driver refuses it")
			claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		}
		if d := r.wanted(claim).Device; d.Kind != nic.Macvlan || d.MAC != claim.Identity.MAC {
			t.Errorf("after two VFs it has %+v; want a macvlan", d)
		}
		r.report(claim, nic.ObservedIn, true)
		now := r.claim(claim.ID)
		if len(now.Conditions) != 1 || now.Conditions[0].Reason != nic.ReasonFellBack || !strings.Contains(now.Conditions[0].Message, "the driver refuses it") {
			t.Errorf("it says %+v", now.Conditions)
		}
		r.free(claim)
		r.wait(time.Minute)
		r.emptyStore()
	})
}

// Without anything instead all VFs are tried, and in the end those again that failed.
func TestF40_WithoutFallbackTheOtherVFsAreTried(t *testing.T) {
	vfs(t, 2, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "strict").ID, nic.ClaimReady, time.Minute)
		var tried []string
		for range 3 {
			tried = append(tried, r.wanted(claim).Device.VF.PCI)
			r.cannot(claim, "somebody else has it")
			claim = r.wants(claim.ID, nic.ClaimReady, time.Minute)
		}
		if tried[0] == tried[1] || tried[2] == "" {
			t.Errorf("tried %v; want both before any again", tried)
		}
	})
}

// A promoted claim whose VF cannot be made has what it had before, and is tried anew when
// it is promoted again.
func TestF40_PromoteToAVFThatCannotBeMadeFallsBack(t *testing.T) {
	vfs(t, 1, func(t *testing.T, r *rig) {
		claim, has := r.fallen()
		r.free(has)
		for range 2 {
			r.wait(time.Second)
			if _, err := r.alloc.Promote(t.Context(), claim.ID, false); err != nil {
				t.Fatal(err)
			}
			r.report(r.claim(claim.ID), nic.ObservedClean, true)
			now := r.wants(claim.ID, nic.ClaimReady, time.Minute)
			if d := r.wanted(now).Device; d.Kind != nic.SRIOV {
				t.Fatalf("promoted to %+v", d)
			}
			r.cannot(now, "no such virtual function")
			now = r.wants(claim.ID, nic.ClaimReady, time.Minute)
			if d := r.wanted(now).Device; d.Kind != nic.Macvlan || d.MAC != claim.Identity.MAC {
				t.Errorf("it has %+v; want the macvlan again", d)
			}
			r.report(now, nic.ObservedIn, true)
			r.wants(claim.ID, nic.ClaimBound, time.Second)
		}
	})
}
