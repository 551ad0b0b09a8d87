package enitest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
)

// Begin does what a controller does for one start, up to the attach.
func (w *World) Begin(n int, at nic.Place) error {
	if _, err := w.Room(w.Context(), at.Instance, 1); err != nil {
		return err
	}
	spec := w.Unplaced(nic.PickMostFree, w.Nets[1]) // the first one is full of instances
	spec.NIC = ID(n)
	spec, err := w.Place(w.Context(), spec, nic.Node{Name: at.Node, Instances: map[string]nic.InstanceID{"cloud": at.Instance}})
	if err != nil {
		return err
	}
	seen, err := w.Provider.Create(w.Context(), spec)
	for err == nil && seen.State == nic.StateCreating {
		time.Sleep(500 * time.Millisecond)
		var all map[nic.ID]nic.Seen
		all, err = w.Get(w.Context(), ID(n))
		seen = all[ID(n)]
	}
	if err != nil {
		return err
	}
	if _, err = w.Provider.Attach(w.Context(), ID(n), at); err == nil {
		_, err = w.Get(w.Context(), ID(n))
	}
	return err
}

// CrowdOfStarts: two hundred starts in a second on instances of their own cost
// as many calls as one does each, and some looks that are for all of them.
func CrowdOfStarts(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Provider = w.Make(1000)
		const starts = 200
		var places []nic.Place
		for n := range starts {
			places = append(places, nic.Place{Node: fmt.Sprintf("n%d", n), Instance: w.Instance(w.Big)})
		}
		before := w.Cloud.Counts()
		begin := time.Now()
		var wg sync.WaitGroup
		for n, at := range places {
			wg.Go(func() {
				if err := w.Begin(n, at); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(5 * time.Millisecond)
		}
		wg.Wait()
		took := time.Since(begin)
		reading, changing := 0, 0
		for api, n := range w.Cloud.Counts() {
			if w.Reads(api) {
				reading += n.Calls - before[api].Calls
			} else {
				changing += n.Calls - before[api].Calls
			}
		}
		if most := 2*int(took/calls.Spacing) + 6; changing != w.Mutating*starts || reading > most {
			t.Errorf("%d starts in %s: %d calls that change something, and %d looks; want %d, and at most %d", starts, took, changing, reading, w.Mutating*starts, most)
		}
		if len(w.Ours()) != starts {
			t.Errorf("%d interfaces of ours", len(w.Ours()))
		}
	})
}

// CreateOfWhatIsNew: what was placed a moment ago is made without a look, once;
// by whoever does not know that it was, and after any doubt, with one.
func CreateOfWhatIsNew(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		looks := func(do func() error) int {
			before := w.Cloud.Counts()[w.Act.Interfaces].Calls
			w.Must(do())
			return w.Cloud.Counts()[w.Act.Interfaces].Calls - before
		}
		placed := func(n int) nic.Spec {
			spec := w.Unplaced(nic.PickMostFree, w.Nets[0])
			spec.NIC = ID(n)
			spec, err := w.Place(t.Context(), spec, w.NodeOf(0))
			w.Must(err)
			return spec
		}
		create := func(spec nic.Spec) func() error {
			return func() error { _, err := w.Provider.Create(t.Context(), spec); return err }
		}
		first := placed(1)
		if a, b := looks(create(first)), looks(create(first)); a != 0 || b != 1 {
			t.Errorf("%d looks at first and %d again; want 0 and 1", a, b)
		}
		lost := placed(2)
		w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: w.Act.Create, Count: w.Attempts})
		if _, err := w.Provider.Create(t.Context(), lost); !errors.Is(err, provider.ErrUnknown) {
			t.Fatal(err)
		}
		if n := looks(create(lost)); n != 1 {
			t.Errorf("%d looks after a lost reply", n)
		}
		late := placed(3)
		time.Sleep(NewFor)
		if n := looks(create(late)); n != 1 {
			t.Errorf("%d looks for what was placed a while ago", n)
		}
		before := placed(4)
		w.Provider = w.Another()
		if n := looks(create(before)); n != 1 {
			t.Errorf("%d looks of who did not place it", n)
		}
		if n := len(w.Ours()); n != 4 {
			t.Errorf("%d interfaces for 4 NICs", n)
		}
	})
}

// Room: what is remembered of an instance counts what we have plugged in since,
// says at once that there is room, and never that there is none.
func Room(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		at := w.At(0) // m5.large: 3 interfaces, one of them its own
		room := func(want int) (free, looks int) {
			before := w.Cloud.Counts()[w.Act.Instances].Calls
			l, err := w.Room(t.Context(), at.Instance, want)
			w.Must(err)
			return l.Free, w.Cloud.Counts()[w.Act.Instances].Calls - before
		}
		hold := func(want, free, looks int) {
			t.Helper()
			if f, l := room(want); f != free || l != looks {
				t.Errorf("room for %d: %d free after %d looks; want %d after %d", want, f, l, free, looks)
			}
		}
		hold(1, 2, 1)
		hold(2, 2, 0)
		w.Attached(ID(1), at)
		hold(1, 1, 0) // it is ours
		hold(2, 1, 1) // that there is none is looked up
		w.Attached(ID(2), at)
		hold(1, 0, 1)
		w.Must(w.Provider.Detach(t.Context(), ID(2), at.Instance))
		w.Until(ID(2), nic.StateAvailable)
		hold(1, 1, 1)
		time.Sleep(RoomFor + time.Second)
		hold(1, 1, 1)
	})
}

// AttachByWhatWasSeen: an attach that goes by a look of a moment ago is refused by
// the cloud where somebody was quicker, and that is what is told.
func AttachByWhatWasSeen(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Created(ID(1))
		other := w.Another()
		_, err := other.Attach(t.Context(), ID(1), w.At(1))
		w.Must(err)
		if _, err := w.Provider.Attach(t.Context(), ID(1), w.At(0)); !errors.Is(err, provider.ErrElsewhere) {
			t.Errorf("%v; want elsewhere", err)
		}
		w.Created(ID(2))
		for _, i := range w.Ours() {
			if i.Tags[eni.TagNIC] == string(ID(2)) {
				w.Must(w.Cloud.DeleteInterface(t.Context(), cloudsim.Call{Caller: "test"}, i.ID))
			}
		}
		if _, err := w.Provider.Attach(t.Context(), ID(2), w.At(0)); err == nil {
			t.Error("what a person has deleted was attached")
		}
	})
}
