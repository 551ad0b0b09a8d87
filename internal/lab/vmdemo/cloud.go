//go:build linux

package vmdemo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/cluster"
)

// The calls that make and delete interfaces.
const (
	apiCreate = "CreateNetworkInterface"
	apiAttach = "AttachNetworkInterface"
	apiDetach = "DetachNetworkInterface"
	apiDelete = "DeleteNetworkInterface"
)

// cloud is what the guests are instances of; nil where the demo is of libvirt.
func (s *show) cloud() *cluster.Cloud {
	if !s.ofCloud {
		return nil
	}
	return &cluster.Cloud{Latency: true, Throttle: true, Seed: 1}
}

// calls are the entries of the cloud's log after number n.
func (s *show) calls(ctx context.Context, after int) ([]cloudsim.Entry, error) {
	var log []cloudsim.Entry
	return log, s.lab.AskCloud(ctx, http.MethodGet, fmt.Sprintf("/log?after=%d", after), nil, &log)
}

// mark is the number of the last entry of the cloud's log.
func (s *show) mark(ctx context.Context) (int, error) {
	log, err := s.calls(ctx, 0)
	return len(log), err
}

// changes counts the calls that changed an interface, by API.
func changes(log []cloudsim.Entry, eni string) map[string]int {
	count := map[string]int{}
	for _, e := range log {
		if e.API != "" && e.Effect && e.Resource == eni {
			count[e.API]++
		}
	}
	return count
}

// reads counts the calls that only look.
func reads(log []cloudsim.Entry) int {
	n := 0
	for _, e := range log {
		if strings.HasPrefix(e.API, "Describe") {
			n++
		}
	}
	return n
}

// counted is such as "1 AttachNetworkInterface, 1 CreateNetworkInterface".
func counted(of map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%d %s", of[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// sum is of all counts.
func sum(of map[string]int) int {
	n := 0
	for _, c := range of {
		n += c
	}
	return n
}

// An account is what the cloud's log says in the end.
type account struct {
	made, deleted                  int
	mutating, looks                int
	throttled, lost                int
	orphans                        []string // made, or put there, and not deleted
	twins                          []string // made more than once
	throttledUnasked, otherRefusal int      // not by a fault
}

// accounted adds up a log. A call that was refused by a fault counts as such, and
// one whose answer was lost as done.
func accounted(log []cloudsim.Entry) account {
	var a account
	there := map[string]bool{}
	for _, e := range log {
		switch {
		case e.API == apiCreate && e.Effect:
			if a.made++; there[e.Resource] {
				a.twins = append(a.twins, e.Resource)
			}
			there[e.Resource] = true
		case e.Event == "planted":
			there[e.Resource] = true
		case e.Effect && (e.API == apiDelete || e.Event == "deleted"):
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
		case e.Code == "RequestLimitExceeded" && byFault:
			a.throttled++
		case e.Code == "RequestLimitExceeded":
			a.throttledUnasked++
		case e.Code != "":
			a.otherRefusal++
		}
	}
	a.orphans = slices.Sorted(maps.Keys(there))
	return a
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
	a := accounted(log)
	calls := a.mutating + a.looks
	s.Fact("interfaces that the cloud's log says were made", fmt.Sprint(a.made), "")
	s.Fact("  and deleted", fmt.Sprint(a.deleted), fmt.Sprint(a.made))
	s.Fact("  orphans", fmt.Sprint(len(a.orphans)), "0")
	s.Fact("calls in all, of which describes", fmt.Sprintf("%d, %d", calls, a.looks), "")
	s.Fact("  throttled by the fault, replies lost by the fault", fmt.Sprintf("%d, %d", a.throttled, a.lost), "some of each")
	s.Fact("  throttled by EC2's own buckets", fmt.Sprintf("%d of %d", a.throttledUnasked, calls), "1 % at most")
	looks := fmt.Sprintf("%d calls, of which %d describes; %d interfaces made, %d deleted, none made twice, 0 orphans;\n"+
		"            %d calls were throttled and %d replies lost by the faults, %d throttled by EC2's own buckets, %d refused for another reason",
		calls, a.looks, a.made, a.deleted, a.throttled, a.lost, a.throttledUnasked, a.otherRefusal)
	if err := s.NothingLeft("the cloud, by its own log,", looks, a.orphans); err != nil {
		return err
	}
	switch {
	case len(a.twins) > 0 || a.made == 0 || a.made != a.deleted:
		return fmt.Errorf("the cloud's log: %d made, %d deleted, made twice: %q", a.made, a.deleted, a.twins)
	case a.throttled == 0 || a.lost == 0:
		return fmt.Errorf("the faults were hardly met: %d throttled, %d replies lost", a.throttled, a.lost)
	case 100*a.throttledUnasked > calls:
		return fmt.Errorf("EC2's own buckets throttled %d of %d calls, want 1 %% at most", a.throttledUnasked, calls)
	}
	return nil
}

// plantInterface leaves an interface in the cloud that nobody will delete.
func (s *show) plantInterface(ctx context.Context) error {
	about, err := s.lab.AboutCloud(ctx)
	if err != nil {
		return err
	}
	return s.lab.AskCloud(ctx, http.MethodPost, "/foreign", []cloudsim.Foreign{{Subnet: about.Subnets[0].ID, Description: "planted"}}, nil)
}

// breakIt has the cloud throttle and lose replies from now on.
func (s *show) breakIt(ctx context.Context) (string, error) {
	faults := []cloudsim.Fault{
		{Verb: cloudsim.LoseReply, API: apiCreate},
		{Verb: cloudsim.LoseReply, API: apiAttach},
		{Verb: cloudsim.LoseReply, API: apiDetach},
		{Verb: cloudsim.LoseReply, API: apiDelete},
		{Verb: cloudsim.Throttle, API: apiCreate, Nth: 2}, // there is no third: the interface is found first
		{Verb: cloudsim.Throttle, API: apiAttach, Count: 2, Nth: 2},
		{Verb: cloudsim.Throttle, API: apiDetach, Count: 2, Nth: 2},
		{Verb: cloudsim.Throttle, API: "Describe*", Count: 3},
	}
	if err := s.lab.AskCloud(ctx, http.MethodPost, "/faults", map[string]any{"faults": faults}, nil); err != nil {
		return "", err
	}
	return "from now on the cloud loses the reply to the next call of each kind, after the work was done,\n" +
		"and throttles those that come then, and three describes", nil
}

// struck wants that all faults were met: those that were are not listed any more.
func (s *show) struck(ctx context.Context) error {
	var left []cloudsim.Planned
	if err := s.lab.AskCloud(ctx, http.MethodGet, "/faults", nil, &left); err != nil {
		return err
	}
	var errs []error
	for _, f := range left {
		errs = append(errs, fmt.Errorf("fault %s of %s has struck only %d calls", f.Verb, f.API, f.Struck))
	}
	return errors.Join(errs...)
}
