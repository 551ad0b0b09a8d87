package invariant_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
)

var publicAddr = netip.MustParseAddr("203.0.113.9")

// publication is the record of a claim's public address.
func publication(claim nic.ClaimID) nic.Publication {
	return nic.Publication{Claim: claim, Provider: "cloud", Addr: publicAddr, NIC: nicA}
}

// A public address is well that its record, its claim and its provider agree on, and
// one that is on its way back.
func TestAPublicAddressIsWell(t *testing.T) {
	w := sound()
	w.Records.Claims[0].Identity.Public = publicAddr
	w.Records.Public = []nic.Publication{publication(claimA), {Claim: "clm-00000000000000ff", Provider: "cloud", Addr: netip.MustParseAddr("203.0.113.10")}}
	cloud(w, func(p *invariant.Provider) { p.Public = map[nic.ClaimID]netip.Addr{claimA: publicAddr} })
	if found := invariant.Check(*w); len(found) > 0 {
		t.Error(invariant.Error(found))
	}
}

func TestEachFaultOfAPublicAddressIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		wrong         func(w *invariant.World)
		promise, says string
	}{
		"two have one": {func(w *invariant.World) {
			w.Records.Public = []nic.Publication{publication(claimA), publication(claimB)}
		}, "P1", "all have public address 203.0.113.9"},
		"without a record": {func(w *invariant.World) {
			cloud(w, func(p *invariant.Provider) { p.Public = map[nic.ClaimID]netip.Addr{claimA: publicAddr} })
		}, "P2", "has public address 203.0.113.9 at provider cloud and no record of that"},
		"not there": {func(w *invariant.World) {
			w.Records.Public = []nic.Publication{publication(claimA)}
			cloud(w, func(p *invariant.Provider) { p.Public = map[nic.ClaimID]netip.Addr{} })
		}, "P2", "has public address 203.0.113.9 by its record"},
		"said by the claim alone": {func(w *invariant.World) { w.Records.Claims[0].Identity.Public = publicAddr }, "P2", "and invalid IP by the record of that"},
	} {
		w := sound()
		c.wrong(w)
		found := invariant.Check(*w)
		if len(found) == 0 || found[0].Promise != c.promise || !strings.Contains(found[0].Problem, c.says) {
			t.Errorf("%s: found %v; want %s %q", name, found, c.promise, c.says)
		}
	}
}
