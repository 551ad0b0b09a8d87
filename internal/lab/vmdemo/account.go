//go:build linux

package vmdemo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// An account is what the cloud's log says in the end.
type account struct {
	made, deleted                  int
	mutating, looks                int
	throttled, lost                int
	orphans                        []string // made, or put there, and not deleted; also addresses
	twins                          []string // made more than once
	throttledUnasked, otherRefusal int      // not by a fault
}

// deleting is an interface that a call has begun to delete: it is gone when that is said.
const deleting = "deleting"

// accounted adds up a log. A call that was refused by a fault counts as such, and
// one whose answer was lost as done.
func accounted(log []cloudsim.Entry, v vendors.Vendor) account {
	var a account
	there := map[string]bool{}
	for _, e := range log {
		switch {
		case e.API == v.Allocate && e.Effect:
			there[e.Resource] = true
		case e.API == v.Release && e.Effect:
			delete(there, e.Resource)
		case e.API == vendors.Create && e.Effect:
			if a.made++; there[e.Resource] {
				a.twins = append(a.twins, e.Resource)
			}
			there[e.Resource] = true
		case e.Event == "planted":
			there[e.Resource] = true
		case e.Effect && (e.API == vendors.Delete && e.After != deleting || e.Event == "deleted"):
			a.deleted++
			delete(there, e.Resource)
		}
		if e.API == "" {
			continue
		}
		if strings.HasPrefix(e.API, "Describe") {
			a.looks++
		} else {
			a.mutating++
		}
		switch byFault := strings.Contains(e.Fault, string(cloudsim.Throttle)); {
		case strings.Contains(e.Fault, string(cloudsim.LoseReply)):
			a.lost++
		case e.Code == v.Throttled && byFault:
			a.throttled++
		case e.Code == v.Throttled:
			a.throttledUnasked++
		case e.Code != "":
			a.otherRefusal++
		}
	}
	a.orphans = slices.Sorted(maps.Keys(there))
	return a
}

// A toll is how often one of the cloud's calls was made, and what came of it.
type toll struct {
	api                      string
	calls, throttled, failed int
	lost                     int
}

// String is without what never happened.
func (t toll) String() string {
	text := fmt.Sprint(t.calls)
	for _, part := range []struct {
		n    int
		what string
	}{{t.throttled, "throttled"}, {t.lost, "reply lost"}, {t.failed, "refused"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text
}

// tally counts each kind of call.
func tally(log []cloudsim.Entry, v vendors.Vendor) []toll {
	of := map[string]*toll{}
	for _, e := range log {
		if e.API == "" {
			continue
		}
		if of[e.API] == nil {
			of[e.API] = &toll{api: e.API}
		}
		t := of[e.API]
		t.calls++
		switch {
		case strings.Contains(e.Fault, string(cloudsim.LoseReply)):
			t.lost++
		case e.Code == v.Throttled:
			t.throttled++
		case e.Code != "":
			t.failed++
		}
	}
	var all []toll
	for _, api := range slices.Sorted(maps.Keys(of)) {
		all = append(all, *of[api])
	}
	return all
}

// account holds the cloud's own log against what must be: whatever was made is
// deleted, and nothing is there that nobody asked for. With Plant an interface is
// left there first.
func (s *show) account(ctx context.Context) error {
	if s.Plant {
		if err := s.plantInterface(ctx); err != nil {
			return err
		}
	}
	log, err := s.calls(ctx, 0)
	if err != nil {
		return err
	}
	a := accounted(log, *s.vendor)
	calls := a.mutating + a.looks
	s.Fact("interfaces that the cloud's log says were made", fmt.Sprint(a.made), "")
	s.Fact("  and deleted", fmt.Sprint(a.deleted), fmt.Sprint(a.made))
	s.Fact("  orphans", fmt.Sprint(len(a.orphans)), "0")
	s.Fact("calls in all, of which describes", fmt.Sprintf("%d, %d", calls, a.looks), "")
	s.Fact("  throttled by the fault, replies lost by the fault", fmt.Sprintf("%d, %d", a.throttled, a.lost), "some of each")
	s.Fact("  throttled by "+s.vendor.Name+"'s own buckets", fmt.Sprintf("%d of %d", a.throttledUnasked, calls), "1 % at most")
	for _, t := range tally(log, *s.vendor) {
		s.Fact("  "+t.api, t.String(), "")
	}
	looks := fmt.Sprintf("%d calls, of which %d describes; %d interfaces made, %d deleted, none made twice, 0 orphans;\n"+
		"            %d calls were throttled and %d replies lost by the faults, %d throttled by %s's own buckets, %d refused for another reason",
		calls, a.looks, a.made, a.deleted, a.throttled, a.lost, a.throttledUnasked, s.vendor.Name, a.otherRefusal)
	if err := s.NothingLeft("the cloud, by its own log,", looks, a.orphans); err != nil {
		return err
	}
	switch {
	case len(a.twins) > 0 || a.made == 0 || a.made != a.deleted:
		return fmt.Errorf("the cloud's log: %d made, %d deleted, made twice: %q", a.made, a.deleted, a.twins)
	case a.throttled == 0 || a.lost == 0:
		return fmt.Errorf("the faults were hardly met: %d throttled, %d replies lost", a.throttled, a.lost)
	case 100*a.throttledUnasked > calls:
		return fmt.Errorf("%s's own buckets throttled %d of %d calls, want 1 %% at most", s.vendor.Name, a.throttledUnasked, calls)
	}
	return nil
}
