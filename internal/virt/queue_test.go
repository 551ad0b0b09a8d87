package virt

import (
	"testing"
	"testing/synctest"
)

func TestSlowReaderIsToldToLookAtEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		go q.run()
		q.add(Event{Kind: DeviceAdded, UUID: "first"})
		synctest.Wait() // it is on offer, and the others wait
		for range queued {
			q.add(Event{Kind: DeviceAdded, UUID: "lost"})
		}
		q.add(Event{Kind: DeviceAdded, UUID: "one too many"})
		q.add(Event{Kind: DeviceRemoved, UUID: "after"})
		for _, want := range []Event{{Kind: DeviceAdded, UUID: "first"}, {Kind: Reconnected}, {Kind: DeviceRemoved, UUID: "after"}} {
			if e := <-q.out; e != want {
				t.Errorf("got %+v, want %+v", e, want)
			}
		}
		close(q.stop)
		if e, open := <-q.out; open {
			t.Errorf("got %+v after stop", e)
		}
	})
}
