package sriov_test

import (
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/providertest"
	"github.com/nicferry/nicferry/provider/sriov"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	alpha = nic.Place{Node: "alpha", Instance: "i-alpha"}
	beta  = nic.Place{Node: "beta", Instance: "i-beta"}
)

// card is one with a link and so many VFs that nobody has: the card number n of a
// machine, ens1f0 and on.
func card(n, vfs int) nic.Card {
	c := nic.Card{PCI: fmt.Sprintf("0000:%02x:00.0", n), Name: fmt.Sprintf("ens%df0", n), MAC: nic.MAC{2, 0, 0, 0, 0, byte(n)}, NUMA: -1, Carrier: true}
	for i := range vfs {
		c.VFs = append(c.VFs, nic.CardVF{PCI: fmt.Sprintf("0000:%02x:%02x.%d", n, 1+i/8, i%8), Index: i, Name: fmt.Sprintf("VF%d%d", n, i+1), Used: "free"})
	}
	return c
}

// A world is a ledger and nodes with two cards each, on which controllers come and
// go.
type world struct {
	ledger *providertest.Ledger
	nodes  *providertest.Nodes
	cards  []nic.Card
}

func newWorld(vfs int) world {
	w := world{providertest.NewLedger(), providertest.NewNodes(alpha, beta), []nic.Card{card(1, vfs), card(2, vfs)}}
	for _, at := range []nic.Place{alpha, beta} {
		w.nodes.SetCards(at.Instance, w.cards)
	}
	return w
}

func (w world) controller() *sriov.Provider {
	p, err := sriov.New(sriov.Options{Name: "cards", Ledger: w.ledger, Nodes: w.nodes})
	if err != nil {
		panic(err) // the options are constant
	}
	return p
}

// node is one of the places, with the world's cards.
func (w world) node(at nic.Place) nic.Node {
	return nic.Node{
		Schema: nic.Schema, Name: at.Node, Phase: nic.NodeReady, Instances: map[string]nic.InstanceID{"cards": at.Instance},
		Inventory: nic.Inventory{Cards: w.cards},
	}
}

// ask is a spec with its VFs to be chosen.
func ask(f nic.Functions) nic.Spec {
	return nic.Spec{NIC: nic.NewID(), Network: "lab", Tenant: "default", MAC: nic.NewMAC(), Functions: f}
}

var (
	one    = nic.Functions{PFs: [][]string{{"ens1f0"}}}
	either = nic.Functions{PFs: [][]string{{"ens*"}}}
	bond   = nic.Functions{PFs: [][]string{{"ens1f0"}, {"ens2f0"}}, Bond: nic.BondActiveBackup}
)

// place places a spec on a node, which has to succeed.
func (w world) place(t *testing.T, p *sriov.Provider, spec nic.Spec, at nic.Place) nic.Spec {
	t.Helper()
	placed, err := p.Place(t.Context(), spec, w.node(at))
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

// plug places, creates and attaches a NIC.
func (w world) plug(t *testing.T, p *sriov.Provider, spec nic.Spec, at nic.Place) nic.Spec {
	t.Helper()
	spec = w.place(t, p, spec, at)
	if _, err := p.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Attach(t.Context(), spec.NIC, at); err != nil {
		t.Fatal(err)
	}
	return spec
}

// unplug takes a NIC home and deletes it.
func (w world) unplug(t *testing.T, p *sriov.Provider, id nic.ID, at nic.Place) {
	t.Helper()
	if err := p.Detach(t.Context(), id, at.Instance); err != nil {
		t.Fatal(err)
	}
	w.nodes.SetClean(at.Instance, id, true)
	if err := p.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// roundRobin are specs of NICs with one VF each, of all VFs in turn.
func (w world) roundRobin() func(id nic.ID, at nic.Place) nic.Spec {
	var mu sync.Mutex
	next := map[string]int{}
	return func(id nic.ID, at nic.Place) nic.Spec {
		mu.Lock()
		defer mu.Unlock()
		c := w.cards[next[at.Node]%len(w.cards)]
		vf := c.VFs[next[at.Node]/len(w.cards)%len(c.VFs)]
		next[at.Node]++
		mac := nic.NewMAC()
		return nic.Spec{
			NIC: id, Network: "lab", Tenant: "default", Node: at.Node, MAC: mac,
			Device: nic.Device{Kind: nic.SRIOV, MAC: mac, VF: nic.VF{PCI: vf.PCI, PF: c.PCI, Index: vf.Index, Set: nic.VFSettings{MAC: mac}}},
		}
	}
}
