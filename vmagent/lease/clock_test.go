package lease_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/vmagent/lease"
)

// F66: a lease that was stored, and read again after somebody has set the wall
// clock, ends and is renewed when its time has passed.
func TestF66_AStoredLeaseOutlivesAClockJump(t *testing.T) {
	for name, c := range map[string]struct {
		jump, passed time.Duration
		holds        bool
		otherBoot    bool
	}{
		"no jump":                        {0, 10 * time.Minute, true, false},
		"no jump, over":                  {0, 2 * time.Hour, false, false},
		"a day forward":                  {24 * time.Hour, 10 * time.Minute, true, false},
		"a day back":                     {-24 * time.Hour, 10 * time.Minute, true, false},
		"a day forward, over":            {24 * time.Hour, 61 * time.Minute, false, false},
		"a day back, over":               {-24 * time.Hour, 61 * time.Minute, false, false},
		"of another boot: by wall clock": {0, 10 * time.Minute, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, up := time.Now(), 300*time.Hour
				g := lease.Grant{Addr: netip.MustParsePrefix("10.0.0.7/24"), Acquired: begin}
				if err := g.SetTimes(0, 0, time.Hour, 30*time.Minute, 50*time.Minute); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				g.Stamp(up + time.Minute)
				// The bubble's clock cannot jump, so the stored times do, the other way.
				for _, at := range []*time.Time{&g.Acquired, &g.T1, &g.T2, &g.Expires} {
					*at = at.Add(-c.jump)
				}
				text, err := json.Marshal(g)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.passed - time.Minute)
				now := up + c.passed
				if c.otherBoot {
					now = time.Minute
				}
				var read lease.Grant
				if err := json.Unmarshal(text, &read); err != nil {
					t.Fatal(err)
				}
				read.Restore(now)
				if read.Holds(time.Now()) != c.holds {
					t.Errorf("it holds until %s; now is %s", read.Expires, time.Now())
				}
				if want := begin.Add(30 * time.Minute); !read.T1.Equal(want) || !read.Due(time.Now()).Equal(want) {
					t.Errorf("it is renewed at %s, want %s", read.Due(time.Now()), want)
				}
			})
		})
	}
}
