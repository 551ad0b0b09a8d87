//go:build linux

package vm

import (
	"context"
	"fmt"
	"strings"
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
	for begin := time.Now(); first.state() != nic.StateAvailable; sleep(t, time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("the guest has not let the card go within %s: it is %s", patience, first.state())
		}
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

// A card that a guest has thrown out of a running container all the same comes
// back there, as it was.
func TestF20_ACardThatIsTornOutComesBack(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.run(n, "web", "--label", "nicferry.network=lab")
	before := r.eth0(n, "web")
	live, _ := r.cards("vm1")
	if len(live) != 1 {
		t.Fatalf("vm1 has %d cards of ours; want 1", len(live))
	}
	slot, _, _ := strings.Cut(live[0].Address, ".")
	r.sh(n, "for s in /sys/bus/pci/slots/*; do [ $(cat $s/address) = "+slot+" ] && echo 0 > $s/power; done; true")
	for _, c := range []struct {
		what string
		want int
	}{{"the card to be thrown out of " + slot, 0}, {"the card to be plugged in again", 1}} {
		r.until(c.what, 2*patience, func(context.Context) error {
			now, _ := r.cards("vm1")
			if len(now) != c.want {
				return fmt.Errorf("vm1 has %d cards of ours", len(now))
			}
			return nil
		})
	}
	if after := r.eth0(n, "web"); after != before {
		t.Errorf("eth0 was %+v and is %+v", before, after)
	}
	r.pings(before.Addr.Addr())
}
