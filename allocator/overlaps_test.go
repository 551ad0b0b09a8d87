package allocator_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/sriov"
)

// shares starts an allocator anew with two networks of those selectors, whose events
// are remembered.
func (r *rig) shares(first, second string, more ...nic.Network) *events.Log {
	r.t.Helper()
	r.stop()
	of := func(name, pf string) nic.Network {
		return nic.Network{Name: name, Provider: "cards", Addressing: nic.AddrDHCP, Space: name, Functions: nic.Functions{PFs: [][]string{{pf}}}}
	}
	p, err := sriov.New(sriov.Options{Name: "cards", Ledger: allocator.NewLedger(r.store, "cards"), Nodes: allocator.NewNodes(r.store, "cards")})
	if err != nil {
		r.t.Fatal(err)
	}
	happened := events.New(events.Options{})
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"cards": p}, Events: happened,
		Networks: append([]nic.Network{of("dmz", first), of("lab", second)}, more...),
	})
	synctest.Wait()
	return happened
}

// overlap is what is said of the node: the condition's text, empty for none, and how
// many events have said something of the kind.
func (r *rig) overlap(l *events.Log) (message string, told int) {
	r.t.Helper()
	synctest.Wait()
	node, err := r.alloc.Node(r.t.Context(), "vm1")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range node.Conditions {
		if c.Reason == nic.ReasonOverlappingVFs {
			message += c.Message
		}
	}
	for _, e := range l.After("", 0, 0).Items {
		if e.Node == "vm1" && e.Type == api.EventWarning && e.Reason == nic.ReasonOverlappingVFs {
			told += max(e.Count, 1)
		}
	}
	return message, told
}

// Two networks that have VFs of a card in common by a pattern, which only a node's cards
// tell, are told of on the node and in an event: once, for as long as it is so, and
// without keeping anybody from a VF.
func TestNetworksThatShareVFsAreTold(t *testing.T) {
	t.Parallel()
	vfs(t, 4, func(t *testing.T, r *rig) {
		happened := r.shares("ens1f*", "ens1f1#2-3")
		check := func(when string, want bool, told int) {
			t.Helper()
			message, times := r.overlap(happened)
			good := strings.Contains(message, "VF 2 of ens1f1 (0000:03:00.1) is network dmz's by ens1f* and network lab's by ens1f1#2-3")
			if good != want || !want && message != "" || times != told {
				t.Errorf("%s: %q, told %d times; want it %t, and %d", when, message, times, want, told)
			}
		}
		tell := func(cards []nic.Card) {
			t.Helper()
			if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, Cards: &cards}); err != nil {
				t.Fatal(err)
			}
		}
		check("as it was known at the start", true, 1)
		claim := r.acquire("0001", "lab")
		r.wants(claim.ID, nic.ClaimReady, time.Minute)
		cards := twoCards(4)
		cards[1].VFs[2].Used = "elsewhere"
		tell(cards)
		check("a VF is used", true, 1)
		tell(twoCards(2))
		check("fewer VFs", false, 1)
		tell(twoCards(4))
		check("as many again", true, 1)
		for range 3 {
			tell(twoCards(2))
			tell(twoCards(4))
		}
		check("a card that comes and goes", true, 1)
		tell(twoCards(2))
		r.wait(time.Hour)
		tell(twoCards(4))
		check("again after an hour", true, 2)
		happened = r.shares("ens1f0", "ens1f1")
		check("another config", false, 0)
		foreign := nic.Network{
			Name: "theirs", Provider: "cards", Addressing: nic.AddrDHCP, Space: "theirs", Tenants: []string{"other"},
			Functions: nic.Functions{PFs: [][]string{{"ens*"}}},
		}
		happened = r.shares("ens1f0", "ens1f1", foreign)
		check("a network that the node's tenants may not use", false, 0)
	})
}
