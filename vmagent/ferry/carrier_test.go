//go:build linux

package ferry

import (
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// Both ends carry after the wait; a link that is down or gone is not waited for.
func TestAwaitCarrier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	l := w.in(n, "eth0", false)
	w.ok(w.ferry.AwaitCarrier(w.inside, l.Index))
	inner, err := w.links.ByIndex(l.Index)
	w.ok(err)
	end, err := w.hostLinks.ByIndex(inner.ParentIndex)
	w.ok(err)
	if !inner.Carries || !end.Carries {
		t.Errorf("carries: %t inside, %t on the host", inner.Carries, end.Carries)
	}
	w.ok(w.links.Set(inner, link.Change{Up: new(false)}))
	w.ok(w.ferry.AwaitCarrier(w.inside, l.Index))
	w.ok(w.ferry.AwaitCarrier(w.inside, 4242))
}
