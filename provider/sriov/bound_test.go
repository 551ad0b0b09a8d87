package sriov_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
	"github.com/nicferry/nicferry/provider/sriov"
)

// A network that may have either kind of link leaves a card to another that can have one
// kind alone, by whatever words they call it: of this provider or of the node's own. It
// does not where that one is of tenants that the node does not serve.
func TestEitherKindIsSettledByWhoCanHaveOne(t *testing.T) {
	sriovNet := func(name, pf string, kinds ...nic.DeviceKind) nic.Network {
		return nic.Network{Name: name, Provider: "cards", Functions: nic.Functions{PFs: [][]string{{pf}}, Fallback: kinds}}
	}
	own := nic.Network{Name: "lan", Provider: "here", Device: nic.Device{Kind: nic.Macvlan, Parent: "ens1f0"}}
	foreign := own
	foreign.Tenants = []string{"other"}
	fast := sriovNet("fast", "ens1f0", nic.Ipvlan, nic.Macvlan)
	for name, c := range map[string]struct {
		others []nic.Network
		want   nic.DeviceKind
		on     string
	}{
		"alone":                {nil, nic.Ipvlan, "ens1f0"},
		"the node's own":       {[]nic.Network{own}, nic.Macvlan, "ens1f0"},
		"another tenant's":     {[]nic.Network{foreign}, nic.Ipvlan, "ens1f0"},
		"one kind, by pattern": {[]nic.Network{sriovNet("dmz", "ens1*#0-3", nic.Macvlan)}, nic.Macvlan, "ens1f0"},
		"by address":           {[]nic.Network{sriovNet("dmz", "0000:01:00.0", nic.Macvlan)}, nic.Macvlan, "ens1f0"},
		"its own kind":         {[]nic.Network{own, sriovNet("dmz", "ens1f0", nic.Ipvlan)}, nic.Ipvlan, "ens1f0"},
		"another card":         {[]nic.Network{sriovNet("dmz", "ens2f0", nic.Macvlan)}, nic.Ipvlan, "ens1f0"},
		"either":               {[]nic.Network{sriovNet("dmz", "ens1f0", nic.Macvlan, nic.Ipvlan)}, nic.Ipvlan, "ens1f0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(0)
			p := w.among(append(c.others, fast)...)
			if d := w.place(t, p, falling("fast", nic.Ipvlan, nic.Macvlan), alpha).Device; d.Kind != c.want || d.Parent != c.on {
				t.Errorf("is given %+v; want a %s on %s", d, c.want, c.on)
			}
		})
	}
	// Who can have one kind alone takes another card, if there is one, and else the kind.
	w := newWorld(0)
	p := w.among(own)
	spec := falling("lab", nic.Ipvlan)
	spec.Functions.PFs = [][]string{{"ens*"}}
	if d := w.place(t, p, spec, alpha).Device; d.Parent != "ens2f0" {
		t.Errorf("with two cards is given %+v", d)
	}
	spec = falling("lab", nic.Ipvlan)
	if d := w.place(t, p, spec, alpha).Device; d.Parent != "ens1f0" || d.Kind != nic.Ipvlan {
		t.Errorf("with one card is given %+v", d)
	}
	spec = falling("lab", nic.Ipvlan, nic.Macvlan)
	spec.Failed = []string{"macvlan/ens1f0", "0000:01:01.0"}
	if d := w.place(t, w.controller(), spec, beta).Device; d.Kind != nic.Ipvlan {
		t.Errorf("with a macvlan that could not be made is given %+v", d)
	}
}

// among is a controller whose config has those networks, on nodes of the default tenant.
func (w world) among(networks ...nic.Network) *sriov.Provider {
	p, err := sriov.New(sriov.Options{
		Name: "cards", Ledger: w.ledger, Nodes: w.nodes, Networks: networks,
		Tenants: func(string) []string { return []string{nic.DefaultTenant} },
	})
	if err != nil {
		panic(err) // the options are constant
	}
	return p
}

// Links of a release that kept none on record are on record with the first question.
func TestLinksThatHaveNoRecordAreFound(t *testing.T) {
	w := newWorld(0)
	p := w.controller()
	old := w.plug(t, p, falling("dmz", nic.Macvlan), alpha)
	key := "link/alpha/ens1f0/" + string(old.NIC)
	if err := w.ledger.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	p = w.controller()
	if err := p.Fits(t.Context(), falling("lab", nic.Ipvlan), w.node(alpha)); err == nil || !strings.Contains(err.Error(), string(old.NIC)) {
		t.Errorf("an ipvlan beside a macvlan without a record: %v", err)
	}
	w.unplug(t, p, old.NIC, alpha)
	w.ledger.WantEmpty(t, "given back")
}

// An attempt that noted a card and was given up for another card keeps nobody from the
// first one.
func TestALinkThatWentToAnotherCard(t *testing.T) {
	w := newWorld(0)
	p := w.controller()
	spec := falling("dmz", nic.Macvlan)
	w.place(t, p, spec, alpha) // which nobody heard
	spec.Functions.PFs = [][]string{{"ens2f0"}}
	spec = w.plug(t, w.controller(), spec, alpha)
	if d := w.place(t, p, falling("lab", nic.Ipvlan), alpha).Device; d.Kind != nic.Ipvlan || d.Parent != "ens1f0" {
		t.Errorf("is given %+v", d)
	}
	if err := p.Fits(t.Context(), func() nic.Spec {
		s := falling("lab", nic.Ipvlan)
		s.Functions.PFs = [][]string{{"ens2f0"}}
		return s
	}(), w.node(alpha)); err == nil || !strings.Contains(err.Error(), string(spec.NIC)) {
		t.Errorf("on the card that it is on: %v", err)
	}
}

// counted counts what is listed of single NICs.
type counted struct {
	provider.Ledger
	read atomic.Int64
}

func (c *counted) List(ctx context.Context, prefix string) (map[string][]byte, error) {
	if strings.HasPrefix(prefix, "nic/nic-") {
		c.read.Add(1)
	}
	return c.Ledger.List(ctx, prefix)
}

// What a card carries of the same kind is not read, NIC by NIC, for each that comes.
func TestLinksOfTheSameKindAreNotReadEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0)
		p := w.controller()
		const have = 20
		for range have {
			w.plug(t, p, falling("dmz", nic.Macvlan), alpha)
		}
		time.Sleep(time.Hour)
		ledger := &counted{Ledger: w.ledger}
		p, err := sriov.New(sriov.Options{Name: "cards", Ledger: ledger, Nodes: w.nodes})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (ledgerlog.Log{Ledger: ledger}).Read(t.Context(), nic.NewID()); err != nil || ledger.read.Load() != 1 {
			t.Fatalf("a NIC that is read is counted %d times: %v", ledger.read.Load(), err)
		}
		w.place(t, p, falling("dmz", nic.Macvlan), alpha)
		if n := ledger.read.Load() - 1; n >= have {
			t.Errorf("%d NICs were read for one more beside %d", n, have)
		}
	})
}
