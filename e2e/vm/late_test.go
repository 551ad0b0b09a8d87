//go:build linux

package vm

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A guest that is slow to let a card go is told of it again with each card that
// comes meanwhile, and throws out whatever is in that port by then. The next card
// is not there.
func TestF22_ALateRequestThrowsOutNobody(t *testing.T) {
	r := use(t)
	first := r.hand(r.Virt())
	first.attach("vm1")
	sleep(t, time.Second) // until the guest has seen it
	release := r.holdLinks(r.node(1))
	first.detach("vm1")
	sleep(t, time.Second) // until the guest is at it
	var stay []*hand
	for range 4 {
		h := first.another()
		stay = append(stay, h)
		h.attach("vm1")
	}
	sleep(t, time.Second)
	next := first.another()
	release()
	for first.state() != nic.StateAvailable {
		sleep(t, time.Millisecond)
	}
	next.attach("vm1")
	stay = append(stay, next)
	for range 20 {
		sleep(t, 100*time.Millisecond)
		for i, h := range stay {
			if live, stored := h.inDomain("vm1"); live != 1 || stored != 1 {
				t.Fatalf("the guest has card %d of %d, %d times live and %d times stored", i+1, len(stay), live, stored)
			}
		}
	}
}
