package aws

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

// begin does what a controller does for one start, up to the attach.
func (w *world) begin(n int, at nic.Place) error {
	if _, err := w.Room(w.Context(), at.Instance, 1); err != nil {
		return err
	}
	spec := w.unplaced(nic.PickMostFree, w.subnets[1]) // the first one is full of instances
	spec.NIC = id(n)
	spec, err := w.Place(w.Context(), spec, nic.Node{Name: at.Node, Instances: map[string]nic.InstanceID{"cloud": at.Instance}})
	if err != nil {
		return err
	}
	seen, err := w.Create(w.Context(), spec)
	for err == nil && seen.State == nic.StateCreating {
		time.Sleep(500 * time.Millisecond)
		var all map[nic.ID]nic.Seen
		all, err = w.Get(w.Context(), id(n))
		seen = all[id(n)]
	}
	if err != nil {
		return err
	}
	if _, err = w.Attach(w.Context(), id(n), at); err == nil {
		_, err = w.Get(w.Context(), id(n))
	}
	return err
}

// TestCrowdOfStarts: two hundred starts in a second on instances of their own cost
// three calls each, and some looks that are for all of them.
func TestCrowdOfStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Provider = w.with(func(o *Options) { o.Calls = 1000 })
		const starts = 200
		var places []nic.Place
		for n := range starts {
			places = append(places, nic.Place{Node: fmt.Sprintf("n%d", n), Instance: w.instance("m5.4xlarge")})
		}
		before := w.cloud.Counts()
		begin := time.Now()
		var wg sync.WaitGroup
		for n, at := range places {
			wg.Go(func() {
				if err := w.begin(n, at); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(5 * time.Millisecond)
		}
		wg.Wait()
		took := time.Since(begin)
		reading, changing := 0, 0
		for api, n := range w.cloud.Counts() {
			if reads(api) {
				reading += n.Calls - before[api].Calls
			} else {
				changing += n.Calls - before[api].Calls
			}
		}
		if most := 2*int(took/calls.Spacing) + 6; changing != 3*starts || reading > most {
			t.Errorf("%d starts in %s: %d calls that change something, and %d looks; want %d, and at most %d", starts, took, changing, reading, 3*starts, most)
		}
		if len(w.ours()) != starts {
			t.Errorf("%d interfaces of ours", len(w.ours()))
		}
	})
}

// TestCreateOfWhatIsNew: what was placed a moment ago is made without a look, once;
// by whoever does not know that it was, and after any doubt, with one.
func TestCreateOfWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		looks := func(do func() error) int {
			before := w.cloud.Counts()[apiDescribeInterfaces].Calls
			w.must(do())
			return w.cloud.Counts()[apiDescribeInterfaces].Calls - before
		}
		placed := func(n int) nic.Spec {
			spec := w.unplaced(nic.PickMostFree, w.subnets[0])
			spec.NIC = id(n)
			spec, err := w.Place(t.Context(), spec, w.node(0))
			w.must(err)
			return spec
		}
		create := func(spec nic.Spec) func() error {
			return func() error { _, err := w.Create(t.Context(), spec); return err }
		}
		first := placed(1)
		if a, b := looks(create(first)), looks(create(first)); a != 0 || b != 1 {
			t.Errorf("%d looks at first and %d again; want 0 and 1", a, b)
		}
		lost := placed(2)
		w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiCreateInterface, Count: attempts})
		if _, err := w.Create(t.Context(), lost); !errors.Is(err, provider.ErrUnknown) {
			t.Fatal(err)
		}
		if n := looks(create(lost)); n != 1 {
			t.Errorf("%d looks after a lost reply", n)
		}
		late := placed(3)
		time.Sleep(newFor)
		if n := looks(create(late)); n != 1 {
			t.Errorf("%d looks for what was placed a while ago", n)
		}
		before := placed(4)
		w.Provider = w.another()
		if n := looks(create(before)); n != 1 {
			t.Errorf("%d looks of who did not place it", n)
		}
		if n := len(w.ours()); n != 4 {
			t.Errorf("%d interfaces for 4 NICs", n)
		}
	})
}

// TestRoom: what is remembered of an instance counts what we have plugged in since,
// says at once that there is room, and never that there is none.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		at := w.place(0) // m5.large: 3 interfaces, one of them its own
		room := func(want int) (free, looks int) {
			before := w.cloud.Counts()[apiDescribeInstances].Calls
			l, err := w.Room(t.Context(), at.Instance, want)
			w.must(err)
			return l.Free, w.cloud.Counts()[apiDescribeInstances].Calls - before
		}
		hold := func(want, free, looks int) {
			t.Helper()
			if f, l := room(want); f != free || l != looks {
				t.Errorf("room for %d: %d free after %d looks; want %d after %d", want, f, l, free, looks)
			}
		}
		hold(1, 2, 1)
		hold(2, 2, 0)
		w.attached(id(1), at)
		hold(1, 1, 0) // it is ours
		hold(2, 1, 1) // that there is none is looked up
		w.attached(id(2), at)
		hold(1, 0, 1)
		w.must(w.Detach(t.Context(), id(2), at.Instance))
		w.until(id(2), nic.StateAvailable)
		hold(1, 1, 1)
		time.Sleep(roomFor + time.Second)
		hold(1, 1, 1)
	})
}

// TestAttachByWhatWasSeen: an attach that goes by a look of a moment ago is refused by
// EC2 where somebody was quicker, and that is what is told.
func TestAttachByWhatWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.created(id(1))
		other := w.another()
		_, err := other.Attach(t.Context(), id(1), w.place(1))
		w.must(err)
		if _, err := w.Attach(t.Context(), id(1), w.place(0)); !errors.Is(err, provider.ErrElsewhere) {
			t.Errorf("%v; want elsewhere", err)
		}
		w.created(id(2))
		for _, i := range w.ours() {
			if i.Tags[eni.TagNIC] == string(id(2)) {
				w.must(w.cloud.DeleteInterface(t.Context(), cloudsim.Call{Caller: "test"}, i.ID))
			}
		}
		if _, err := w.Attach(t.Context(), id(2), w.place(0)); err == nil {
			t.Error("what a person has deleted was attached")
		}
	})
}
