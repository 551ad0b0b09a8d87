package cloudsim_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// code is an error's, "" of none, and its text where it is not the cloud's.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*cloudsim.Error](err); ok {
		return e.Code
	}
	return err.Error()
}

var fixed = cloudsim.Latency{
	Create: cloudsim.Range{Min: 800 * time.Millisecond},
	Attach: cloudsim.Range{Min: 5 * time.Second},
	Detach: cloudsim.Range{Min: 10 * time.Second},
	Start:  cloudsim.Range{Min: 10 * time.Second},
	Stop:   cloudsim.Range{Min: 20 * time.Second},
	Delete: cloudsim.Range{Min: 2 * time.Second},
	Bind:   cloudsim.Range{Min: 3 * time.Second},
}

// The states are those of the SDK's enums and pending, which terraform-provider-aws
// waits for: pending, available, in-use with attaching and attached, in-use with
// detaching, available without an attachment, NotFound.
func TestALifeTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		is := func(id, want string) {
			t.Helper()
			if got := w.state(id); got != want {
				t.Errorf("it is %s, not %s", got, want)
			}
		}
		e := w.create(cloudsim.CreateInterface{})
		if e.Status != cloudsim.StatusPending {
			t.Errorf("a new interface is %s", e.Status)
		}
		time.Sleep(799 * time.Millisecond)
		is(e.ID, "pending")
		time.Sleep(time.Millisecond)
		is(e.ID, "available")
		a := w.attach(e.ID, 1)
		is(e.ID, "in-use/attaching")
		if err := w.DetachInterface(t.Context(), w.call, cloudsim.DetachInterface{Attachment: a.ID}); code(err) != "IncorrectState" {
			t.Errorf("detaching what is attaching: %v", err)
		}
		time.Sleep(5 * time.Second)
		is(e.ID, "in-use/attached")
		if got := w.get(e.ID).Attachment; got.DeleteOnTermination || got.Device != 1 || got.Instance != w.node.ID {
			t.Errorf("the attachment is %+v", got)
		}
		if err := w.DeleteInterface(t.Context(), w.call, e.ID); code(err) != "InvalidParameterValue" {
			t.Errorf("deleting what is in use: %v", err)
		}
		if err := w.DetachInterface(t.Context(), w.call, cloudsim.DetachInterface{Attachment: a.ID}); err != nil {
			t.Fatal(err)
		}
		is(e.ID, "in-use/detaching")
		time.Sleep(10 * time.Second)
		is(e.ID, "available")
		if err := w.DetachInterface(t.Context(), w.call, cloudsim.DetachInterface{Attachment: a.ID}); code(err) != "InvalidAttachmentID.NotFound" {
			t.Errorf("detaching again: %v", err)
		}
		if err := w.DeleteInterface(t.Context(), w.call, e.ID); err != nil {
			t.Fatal(err)
		}
		is(e.ID, "InvalidNetworkInterfaceID.NotFound")
		var what []string
		for _, l := range w.Log(0) {
			if l.Resource == e.ID && l.Effect {
				what = append(what, l.API+l.Event+":"+l.Before+">"+l.After)
			}
		}
		want := []string{
			"CreateNetworkInterface:>pending", "created:pending>available",
			"AttachNetworkInterface:available>in-use/attaching", "attached:in-use/attaching>in-use/attached",
			"DetachNetworkInterface:in-use/attached>in-use/detaching", "detached:in-use/detaching>available",
			"DeleteNetworkInterface:available>",
		}
		same(t, what, want)
	})
}
