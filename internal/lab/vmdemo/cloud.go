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
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// cloud is what the guests are instances of; nil where the demo is of libvirt.
func (s *show) cloud() *cluster.Cloud {
	if s.vendor == nil {
		return nil
	}
	if s.platform {
		return &cluster.Cloud{API: s.vendor.API, Type: bigType, Platform: true, Seed: 1}
	}
	return &cluster.Cloud{API: s.vendor.API, Latency: true, Throttle: true, Seed: 1}
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

// changes counts the calls that changed an interface, by API. One that asks again for the
// detaching that is under way, as after a lost reply, is not another.
func changes(log []cloudsim.Entry, eni string) map[string]int {
	count := map[string]int{}
	for _, e := range log {
		again := e.API == vendors.Detach && e.Before == e.After
		if e.API != "" && e.Effect && e.Resource == eni && !again {
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
		{Verb: cloudsim.LoseReply, API: vendors.Create},
		{Verb: cloudsim.LoseReply, API: vendors.Attach},
		{Verb: cloudsim.LoseReply, API: vendors.Detach},
		{Verb: cloudsim.LoseReply, API: vendors.Delete},
		{Verb: cloudsim.LoseReply, API: s.vendor.Allocate},
		{Verb: cloudsim.LoseReply, API: s.vendor.Release},
		{Verb: cloudsim.Throttle, API: vendors.Create, Nth: 2}, // there is no third: the interface is found first
		{Verb: cloudsim.Throttle, API: vendors.Attach, Count: 2, Nth: 2},
		{Verb: cloudsim.Throttle, API: vendors.Detach, Count: 2, Nth: 2},
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
