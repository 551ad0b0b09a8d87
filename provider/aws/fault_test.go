package aws

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// TestF06_ForeignInterfaces: what has our name and not our tag, or another
// cluster's, is not ours.
func TestF06_ForeignInterfaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		own := w.Created(enitest.ID(1))
		w.Inject(cloudsim.Fault{Verb: cloudsim.ForeignObjects, Foreign: []cloudsim.Foreign{
			{Subnet: w.Nets[0], Description: "nicferry " + string(enitest.ID(2)), Tags: cloudsim.Tags{tagName: "nicferry vpc"}},
			{Subnet: w.Nets[0], Tags: cloudsim.Tags{eni.TagNIC: string(enitest.ID(1)), eni.TagCluster: "cl-2"}},
			{Subnet: w.Nets[0], Tags: cloudsim.Tags{eni.TagNIC: string(enitest.ID(3))}},
			{Subnet: w.Nets[0], Instance: string(w.VMs[0])},
		}})
		all, err := w.List(t.Context())
		if err != nil || len(all) != 1 || all[0].ProviderID != own.ProviderID {
			t.Errorf("%+v, %v; want ours alone", all, err)
		}
		for _, n := range []nic.ID{enitest.ID(2), enitest.ID(3)} {
			if err := w.Provider.Delete(t.Context(), n); !errors.Is(err, provider.ErrNotFound) {
				t.Errorf("%s: %v; want not found", n, err)
			}
		}
		limits, err := w.Limits(t.Context(), w.VMs[0])
		if err != nil || limits.Free != 1 || limits.NICs != 3 || limits.AddrsPerNIC != 10 {
			t.Errorf("%+v, %v; want the foreign one counted", limits, err)
		}
		before := len(w.Cloud.Interfaces())
		w.Gone(enitest.ID(1))
		if n := len(w.Cloud.Interfaces()); n != before-1 {
			t.Errorf("%d interfaces are left of %d; want ours gone", n, before)
		}
	})
}

// TestF07_IndexConflict: one NIC, and the fourth index.
func TestF07_IndexConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{CardBug: true})
		big := w.Instance("m5.4xlarge")
		w.Created(enitest.ID(1))
		w.Inject(cloudsim.Fault{Verb: cloudsim.IndexConflict, API: apiAttachInterface, Count: 3})
		at := nic.Place{Node: "big", Instance: big}
		for range 3 {
			_, err := w.Provider.Attach(t.Context(), enitest.ID(1), at)
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrBusy || e.RetryAfter == 0 {
				t.Fatalf("%v; want busy, and when to come back", err)
			}
		}
		_, err := w.Provider.Attach(t.Context(), enitest.ID(1), at)
		w.Must(err)
		w.Until(enitest.ID(1), nic.StateAttached)
		var tried []int
		for _, e := range w.Cloud.Log(0) {
			if e.API == apiAttachInterface {
				tried = append(tried, e.Device)
			}
		}
		if fmt.Sprint(tried) != "[1 2 3 4]" {
			t.Errorf("tried %v", tried)
		}
		for _, i := range w.Ours() {
			if a := i.Attachment; a == nil || a.Card != 0 || a.Device != 4 {
				t.Errorf("%+v", a)
			}
		}
	})
}
