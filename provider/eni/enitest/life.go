package enitest

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Created makes a NIC and waits until it is available.
func (w *World) Created(id nic.ID) nic.Seen {
	w.Helper()
	_, err := w.Provider.Create(w.Context(), w.Spec(id))
	w.Must(err)
	return w.Until(id, nic.StateAvailable)
}

// Attached plugs one in.
func (w *World) Attached(id nic.ID, at nic.Place) nic.Seen {
	w.Helper()
	w.Created(id)
	_, err := w.Provider.Attach(w.Context(), id, at)
	w.Must(err)
	return w.Until(id, nic.StateAttached)
}

// Until looks until the NIC is in that state.
func (w *World) Until(id nic.ID, want nic.State) nic.Seen {
	w.Helper()
	var last nic.Seen
	for range 300 {
		all, err := w.Get(w.Context(), id)
		if !w.Patient {
			w.Must(err)
		}
		if last = all[id]; last.State == want {
			return last
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is %q for ever; want %s", id, last.State, want)
	return last
}

// Gone deletes a NIC until it is not found.
func (w *World) Gone(id nic.ID) {
	w.Helper()
	for range 300 {
		err := w.Provider.Delete(w.Context(), id)
		switch e := KindOf(err); {
		case e == provider.ErrNotFound:
			return
		case err != nil && e != provider.ErrBusy && !w.Patient:
			w.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is never gone", id)
}

// GoneFrom is Gone for a NIC that is plugged in at the instance.
func (w *World) GoneFrom(id nic.ID, instance nic.InstanceID) {
	w.Helper()
	w.Insist(func() error { return w.Provider.Detach(w.Context(), id, instance) })
	w.Until(id, nic.StateAvailable)
	w.Gone(id)
}

// Insist repeats a call while its error is one that a caller repeats it for.
func (w *World) Insist(call func() error) {
	w.Helper()
	for range 100 {
		err := call()
		switch KindOf(err) {
		case provider.ErrUnknown, provider.ErrThrottled, provider.ErrBusy:
			e, _ := errors.AsType[*provider.Error](err)
			time.Sleep(max(e.RetryAfter, time.Second))
		case nil:
			w.Must(err)
			return
		default:
			w.Fatal(err)
		}
	}
	w.Fatal("never done")
}

// LivePatiently is Live for a world whose reads fail too.
func (w *World) LivePatiently(id nic.ID) {
	w.Helper()
	w.Patient = true
	w.Live(id, func() {})
}

// Has says whether the NIC has the addresses, by the cloud.
func (w *World) Has(id nic.ID, addrs ...netip.Addr) bool {
	w.Helper()
	all, err := w.Get(w.Context(), id)
	w.Must(err)
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(all[id].Addrs, a) })
}

// Live is a NIC's life at the first instance, as its caller drives it; between runs
// between any two steps.
func (w *World) Live(id nic.ID, between func()) {
	w.Helper()
	ctx, at := w.Context(), w.At(0)
	w.Insist(func() error { _, err := w.Provider.Create(ctx, w.Spec(id)); return err })
	between()
	w.Until(id, nic.StateAvailable)
	between()
	w.Insist(func() error { _, err := w.Provider.Attach(ctx, id, at); return err })
	between()
	w.Until(id, nic.StateAttached)
	between()
	w.Insist(func() error { return w.Provider.Detach(ctx, id, at.Instance) })
	between()
	w.Until(id, nic.StateAvailable)
	between()
	w.Insist(func() error {
		err := w.Provider.Delete(ctx, id)
		if errors.Is(err, provider.ErrNotFound) {
			return nil
		}
		return err
	})
	between()
	w.Gone(id)
}
