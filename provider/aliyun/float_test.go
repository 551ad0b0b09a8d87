package aliyun

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// haVip has an operator make one in the first vSwitch.
func haVip(w *enitest.World) cloudsim.HaVip {
	w.Helper()
	v, err := w.Cloud.CreateHaVip(w.Context(), cloudsim.Call{Caller: admin}, cloudsim.NewHaVip{Subnet: w.Nets[0]})
	w.Must(err)
	time.Sleep(time.Minute)
	return v
}

// now is how it is.
func now(w *enitest.World, id string) cloudsim.HaVip {
	w.Helper()
	page, err := w.Cloud.DescribeHaVips(w.Context(), cloudsim.Call{Caller: admin}, cloudsim.Describe{
		Filters: []cloudsim.Filter{{Name: "havip-id", Values: []string{id}}},
	})
	w.Must(err)
	if len(page.Items) != 1 {
		w.Fatalf("there is %+v", page.Items)
	}
	return page.Items[0]
}

// floats makes a NIC that may have the address, as often as it takes.
func floats(w *enitest.World, id nic.ID, of ...string) (nic.Seen, error) {
	w.Helper()
	s := w.Spec(id)
	s.Cloud.Floating = of
	for range 60 {
		seen, err := w.Provider.Create(w.Context(), s)
		if kind := enitest.KindOf(err); err == nil || !errors.Is(kind, provider.ErrBusy) && !errors.Is(kind, provider.ErrUnknown) {
			return seen, err
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is never done", id)
	return nic.Seen{}, nil
}

// TestNICsMayHaveAFloatingAddress: each NIC of a network may have its HaVip, one of them has
// it, and by nothing but the claim of its container; who is deleted is none of them any more.
// What we ship of policies is enough for it.
func TestNICsMayHaveAFloatingAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openGuarded(t, "read-only", "dynamic-eni", "havip")
		v := haVip(w)
		var ids []string
		for n := range 3 {
			seen, err := floats(w, enitest.ID(n), v.ID)
			w.Must(err)
			ids = append(ids, seen.ProviderID)
		}
		again, err := floats(w, enitest.ID(0), v.ID)
		w.Must(err)
		time.Sleep(time.Minute)
		if got := now(w, v.ID); !slices.Equal(got.Members, ids) || !got.OfInterfaces || got.Master != ids[0] || again.ProviderID != ids[0] {
			t.Errorf("the address is %+v; want %v", got, ids)
		}
		_, err = w.Provider.Attach(t.Context(), enitest.ID(1), w.At(0))
		w.Must(err)
		w.Must(w.Cloud.ClaimHaVip(v.ID, ids[1]))
		if got := now(w, v.ID); got.Master != ids[1] {
			t.Errorf("the second has announced it, and it is %s's", got.Master)
		}
		for err := error(nil); !errors.Is(enitest.KindOf(err), provider.ErrNotFound); time.Sleep(time.Second) {
			err = w.Provider.Delete(t.Context(), enitest.ID(0))
		}
		if got := now(w, v.ID); !slices.Equal(got.Members, ids[1:]) || got.Master != ids[1] {
			t.Errorf("without the first it is %+v", got)
		}
	})
}

// TestF03_AHaVipWhoseAnswersAreLost: a NIC is one of those that may have it, once, and then
// is not, whoever asks again.
func TestF03_AHaVipWhoseAnswersAreLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Latency: ecs.ObservedLatency()})
		v := haVip(w)
		for _, api := range []string{apiAssociateHaVip, apiUnassociateHaVip, apiDescribeHaVips} {
			w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: api, Count: attempts})
		}
		seen, err := floats(w, enitest.ID(1), v.ID)
		w.Must(err)
		time.Sleep(time.Minute)
		if got := now(w, v.ID); !slices.Equal(got.Members, []string{seen.ProviderID}) {
			t.Errorf("the address is %+v", got)
		}
		w.Provider = w.Another()
		for err := error(nil); !errors.Is(enitest.KindOf(err), provider.ErrNotFound); time.Sleep(time.Second) {
			err = w.Provider.Delete(t.Context(), enitest.ID(1))
		}
		if got := now(w, v.ID); len(got.Members) > 0 {
			t.Errorf("the address is %+v", got)
		}
		w.Clean(1)
	})
}

// TestNoHaVip: one that there is not is said, and so is that it has no room.
func TestNoHaVip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		_, err := floats(w, enitest.ID(1), "havip-bp1none")
		if !errors.Is(enitest.KindOf(err), provider.ErrInvalid) || !strings.Contains(err.Error(), "no floating address havip-bp1none") {
			t.Errorf("one that there is not: %v", err)
		}
		v := haVip(w)
		for n := range 11 {
			_, err = floats(w, enitest.ID(10+n), v.ID)
			if n < 10 {
				w.Must(err)
			}
		}
		if !errors.Is(enitest.KindOf(err), provider.ErrExhausted) {
			t.Errorf("the eleventh: %v", err)
		}
	})
}
