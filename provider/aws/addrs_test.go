package aws

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

func addrPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// TestF03_AnAddressIsAskedForOnce: what was done, its reply lost, is not called refused
// because EC2 would not hear it again.
func TestF03_AnAddressIsAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Created(enitest.ID(0))
		moving := texted("10.80.0.100")
		w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiAssign4})
		w.Inject(cloudsim.Fault{Verb: cloudsim.Throttle, API: apiAssign4, Nth: 2, Count: attempts})
		if err := w.Assign(t.Context(), enitest.ID(0), moving, ""); !errors.Is(err, provider.ErrUnknown) || !w.Has(enitest.ID(0), moving...) {
			t.Errorf("%v; want that it is not known", err)
		}
	})
}

// TestF03_TwinPublicAddress: EC2 has an address of the claim that it did not show when
// it was asked for another, as after a lost reply. The claim keeps the one that it
// works with, whichever comes first, and the other costs nobody money.
func TestF03_TwinPublicAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Created(enitest.ID(0))
		w.Created(enitest.ID(1))
		var addr netip.Addr
		w.Insist(func() (err error) { addr, err = w.Provider.Publish(t.Context(), testClaim, enitest.ID(0)); return err })
		for range 4 { // some come before the claim's own by their ids
			tags := cloudsim.Tags{eni.TagClaim: string(testClaim), eni.TagCluster: w.options().Cluster}
			_, err := w.Cloud.AllocateAddress(t.Context(), cloudsim.Call{Caller: "test"}, cloudsim.NewAddress{Tags: tags})
			w.Must(err)
		}
		for _, n := range []int{0, 1} {
			if now, err := w.Provider.Publish(t.Context(), testClaim, enitest.ID(n)); now != addr || err != nil {
				t.Errorf("on NIC %d it is %s, %v; it was %s", n, now, err, addr)
			}
		}
		if all, err := w.inside().cloud.PublicAddrs(t.Context(), testClaim); err != nil || len(all) != 1 {
			t.Errorf("%d addresses, %v; want the claim's alone", len(all), err)
		}
	})
}
