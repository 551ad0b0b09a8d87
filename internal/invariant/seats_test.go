package invariant_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

const (
	carrierA = nic.ID("nic-00000000000000aa")
	nicC     = nic.ID("nic-00000000000000cc")
	seatKeyA = string(carrierA) + "/10.0.0.10"
)

// seatA has A's claim on a seat of a NIC that carries two, of which B's is the other
// and waits for its address.
func seatA(w *invariant.World) {
	c := nic.NIC{
		ID: carrierA, Provider: "cloud", Node: "vm1", Instance: "i-vm1", Phase: nic.PhaseCarrying, Placed: true, Carries: true, Seats: 2, Since: now,
		Seen: nic.Seen{NIC: carrierA, State: nic.StateAttached, MAC: macA, Place: nic.Place{Node: "vm1", Instance: "i-vm1"}},
	}
	w.Records.NICs = append(w.Records.NICs, c)
	a, b := &w.Records.NICs[0], &w.Records.NICs[1]
	a.Carrier, b.Carrier = carrierA, carrierA
	a.Spec.MAC, a.Seen.MAC, b.Spec.MAC, b.Seen = nic.MAC{}, nic.MAC{}, nic.MAC{}, nic.Seen{}
	a.Seen.Addrs = []netip.Addr{netip.MustParseAddr("10.0.0.10")}
	b.Node, b.Phase, b.Placed = "vm1", nic.PhasePlanned, false
	delete(w.Records.On, "vm2/"+string(nicB))
	w.Records.On["vm1/"+string(nicB)], w.Records.On["vm1/"+string(carrierA)] = string(nicB), string(carrierA)
	for i := range w.Records.Claims {
		claim := &w.Records.Claims[i]
		delete(w.Records.Owners, claim.Owner.Key())
		claim.Identity.MAC, claim.Identity.Given, claim.Owner.Node = nic.MAC{}, true, "vm1"
		claim.Owner.Sandbox = fmt.Sprintf("0%d", i)
		w.Records.Owners[claim.Owner.Key()] = string(claim.ID)
	}
	w.Records.Claims[1].Phase, w.Records.Claims[1].Identity = nic.ClaimPending, nic.Identity{}
	w.Records.Observed = w.Records.Observed[:1]
	w.Records.MACs, w.Records.Addrs = map[string]string{}, map[string]string{}
	w.Records.Seats = map[string]string{
		seatKeyA: string(claimA), string(carrierA) + "/" + string(nicB): string(claimB), string(carrierA) + "/10.0.0.12": "",
	}
	cloud(w, func(p *invariant.Provider) { p.NICs = []nic.Seen{c.Seen} })
	link(w, "vm2")
	link(w, "vm1", invariant.Link{Name: "ens6", MAC: macA},
		invariant.Link{Namespace: "0a", Name: "eth0", MAC: macA, Kind: "ipvlan", Alias: string(nicA)})
}

// keepPlace has a place kept for the first seat on a NIC that is still to be made.
func keepPlace(w *invariant.World) {
	w.Records.NICs[0].Next = nicC
	w.Records.NICs = append(w.Records.NICs, nic.NIC{
		ID: nicC, Provider: "cloud", Node: "vm2", Instance: "i-vm2", Phase: nic.PhasePlanned, Carries: true, Seats: 1, Arrives: 1, Since: now,
	})
	w.Records.On["vm2/"+string(nicC)] = string(nicC)
	w.Records.Seats[string(nicC)+"/10.0.0.10"] = string(claimA)
}

func TestSeats(t *testing.T) {
	seat := func(w *invariant.World) *nic.NIC { return &w.Records.NICs[0] }
	carrier := func(w *invariant.World) *nic.NIC { return &w.Records.NICs[2] }
	for name, c := range map[string]struct {
		spoil func(w *invariant.World)
		want  string // the promise; empty if all is well
	}{
		"well":                 {func(*invariant.World) {}, ""},
		"a wrong count":        {func(w *invariant.World) { carrier(w).Seats = 1 }, invariant.P2},
		"a carrier that goes":  {func(w *invariant.World) { carrier(w).Phase = nic.PhaseReturning }, invariant.P2},
		"a carrier without":    {func(w *invariant.World) { carrier(w).Carries = false }, invariant.P2},
		"a held carrier":       {func(w *invariant.World) { carrier(w).Holder = claimA }, invariant.P2},
		"a carrier gone":       {func(w *invariant.World) { seat(w).Carrier = nicC }, invariant.P2},
		"on another node":      {func(w *invariant.World) { carrier(w).Node = "vm2" }, invariant.P6},
		"of another tenant":    {func(w *invariant.World) { carrier(w).Tenant = "x" }, invariant.P6},
		"of another network":   {func(w *invariant.World) { carrier(w).Network = "x" }, invariant.P6},
		"an unplugged carrier": {func(w *invariant.World) { cloud(w, func(p *invariant.Provider) { p.NICs = nil }) }, invariant.P4},
		"another's address":    {func(w *invariant.World) { w.Records.Seats[seatKeyA] = string(claimB) }, invariant.P1},
		"an address of nobody": {func(w *invariant.World) { w.Records.Seats[seatKeyA] = "" }, invariant.P1},
		"an index of nobody":   {func(w *invariant.World) { w.Records.Seats[string(carrierA)+"/10.0.0.12"] = "clm-0" }, invariant.P1},
		"an index of no NIC":   {func(w *invariant.World) { w.Records.Seats[string(nicC)+"/10.0.0.12"] = "" }, invariant.P2},
		"not in its container": {func(w *invariant.World) {
			link(w, "vm1", invariant.Link{Name: "s0", MAC: macA, Kind: "ipvlan", Alias: string(nicA)})
		}, invariant.P4},
		"two cards of one MAC": {func(w *invariant.World) {
			link(w, "vm1", append(w.Nodes["vm1"].Links, invariant.Link{Name: "x", MAC: macA})...)
		}, invariant.P1},
		"an address that the cloud has elsewhere": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.NICs[0].Addrs = []netip.Addr{netip.MustParseAddr("10.0.0.4")} })
		}, invariant.P1},
		"a place kept":                {keepPlace, ""},
		"a place kept for nobody":     {func(w *invariant.World) { keepPlace(w); seat(w).Next = "" }, invariant.P1},
		"a place kept on no other":    {func(w *invariant.World) { keepPlace(w); w.Records.NICs[3].Node = "vm1" }, invariant.P6},
		"a place that is not written": {func(w *invariant.World) { keepPlace(w); delete(w.Records.Seats, string(nicC)+"/10.0.0.10") }, invariant.P1},
		"what is no carrier is":       {func(w *invariant.World) { seat(w).Seats = 1; seat(w).Carrier = "" }, invariant.P2},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			seatA(w)
			c.spoil(w)
			found := invariant.Check(*w)
			if c.want == "" {
				if len(found) > 0 {
					t.Error(invariant.Error(found))
				}
				return
			}
			for _, f := range found {
				if f.Promise == c.want {
					return
				}
			}
			t.Errorf("want %s, found %v", c.want, found)
		})
	}
}
