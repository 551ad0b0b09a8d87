package allocator_test

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

func cardsOf(used ...string) []nic.Card {
	card := nic.Card{PCI: "0000:03:00.0", Name: "ens1f0", NUMA: -1, Carrier: true}
	for i, how := range used {
		pci := "0000:03:10." + string(rune('0'+i))
		card.VFs = append(card.VFs, nic.CardVF{PCI: pci, Index: i, Name: "VF0n" + string(rune('0'+i)), Used: how})
	}
	return []nic.Card{card}
}

// A node's cards are as its hello and its last report of them say. A report without
// them is no news, and one that repeats them writes nothing.
func TestANodesCardsAreAsItSays(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		check := func(when, want string) {
			t.Helper()
			node, err := r.alloc.Node(t.Context(), "vm1")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, c := range node.Inventory.Cards {
				for _, vf := range c.VFs {
					got += " " + vf.Used
				}
			}
			if got = strings.TrimSpace(got); got != want || node.Inventory.Boot != "b1" {
				t.Errorf("%s: boot %s, cards %q, want %q", when, node.Inventory.Boot, got, want)
			}
		}
		report := func(cards *[]nic.Card) {
			t.Helper()
			if err := r.alloc.Report(t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, Cards: cards}); err != nil {
				t.Fatal(err)
			}
		}
		hello := func(cards []nic.Card) {
			t.Helper()
			node, err := r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1", Cards: cards})
			if err != nil {
				t.Fatal(err)
			}
			r.node = node
		}
		check("an agent that knows of none", "")
		hello(cardsOf("free", "up"))
		check("hello", "free up")
		report(nil)
		check("no news", "free up")
		now := cardsOf("elsewhere", "up", strings.Repeat("x", 100))
		report(&now)
		check("a report", "elsewhere up "+strings.Repeat("x", 64))
		_, before, _ := r.store.List(t.Context(), "", "", 1)
		report(&now)
		if _, after, _ := r.store.List(t.Context(), "", "", 1); after != before {
			t.Error("a report of the same cards was written")
		}
		report(&[]nic.Card{})
		check("they were pulled out", "")
		report(&now)
		hello(nil)
		check("hello of an older agent", "")
	})
}
