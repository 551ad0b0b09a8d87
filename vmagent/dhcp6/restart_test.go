package dhcp6

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/vmagent/lease/leasetest"
)

// F57: silent before T1, CONFIRM after it, and a wish after the expiry.
func TestF57_RestartAtAnyTime(t *testing.T) {
	for name, test := range map[string]struct {
		down   time.Duration
		reboot bool
		silent bool
		log    []string
	}{
		"before T1":         {20 * time.Second, false, false, []string{"SOLICIT"}},
		"before T1, asked":  {20 * time.Second, true, false, []string{"SOLICIT", "CONFIRM"}},
		"after T1":          {40 * time.Second, false, false, []string{"SOLICIT", "CONFIRM", "RENEW 1"}},
		"after T2":          {50 * time.Second, false, false, []string{"SOLICIT", "CONFIRM", "REBIND"}},
		"after expiry":      {70 * time.Second, false, false, []string{"SOLICIT", "SOLICIT"}},
		"before T1, silent": {1 * time.Second, true, true, []string{"SOLICIT", "CONFIRM", "CONFIRM", "CONFIRM", "CONFIRM"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(1, "fd00:77::100")
				l := &lan{servers: []*fakeServer{server}}
				c := newClient(t, l, Options{})
				synctest.Wait()
				was := c.wantBound("fd00:77::100/128")
				c.stop(false)
				after(test.down)
				l.set(func() { server.silent = test.silent })
				c = newClient(t, l, Options{Lease: leasetest.Reload(t, was), Reboot: test.reboot})
				got := c.State() // it may have a new lease already
				old, usable := got.Bound && got.Lease.Expires.Equal(was.Expires), was.Usable(time.Now())
				if usable && !got.Bound || !usable && old {
					t.Errorf("bound %t at the start, to the old lease %t, which can be used: %t", got.Bound, old, usable)
				}
				after(5 * time.Second) // and the fuzz of T1
				c.wantBound("fd00:77::100/128")
				log := kinds(l.log())
				if test.silent { // as many as the jitter makes
					log = slices.Compact(log)
					test.log = slices.Compact(test.log)
				}
				if !slices.Equal(log, test.log) {
					t.Errorf("sent %q, want %q", log, test.log)
				}
				if test.down > time.Minute {
					wish := l.log()[1].m.Options.OneIANA().Options.OneAddress()
					if wish == nil || !wish.IPv6Addr.Equal(was.Addr.Addr().AsSlice()) {
						t.Errorf("wished for %v, want the address of before", wish)
					}
				}
			})
		})
	}
}

func TestF57_RestartOnAnotherLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lan{servers: []*fakeServer{newServer(1, "fd00:77::100")}}
		c := newClient(t, l, Options{})
		synctest.Wait()
		was := c.wantBound("fd00:77::100/128")
		c.stop(false)
		other := newServer(2, "fd00:99::100")
		other.stranger = true
		l.set(func() { l.servers = []*fakeServer{other} })
		c = newClient(t, l, Options{Lease: leasetest.Reload(t, was), Reboot: true})
		after(time.Second)
		c.wantBound("fd00:99::100/128")
		if len(c.lost) == 0 || !errors.Is(c.lost[0].Err, ErrRefused) {
			t.Errorf("lost %+v, want the old address refused", c.lost)
		}
	})
}
