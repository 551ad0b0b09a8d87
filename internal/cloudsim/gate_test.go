package cloudsim_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A bucket per API, full at first, that refills evenly (EC2 developer guide,
// request throttling); the numbers are the table's.
func TestBucketsRunDryAndRefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Buckets: cloudsim.KnownBuckets()})
		served := func(n int, do func() error) int {
			ok := 0
			for range n {
				if err := do(); err == nil {
					ok++
				} else if code(err) != "RequestLimitExceeded" {
					t.Fatal(err)
				}
			}
			return ok
		}
		create := func() error { return w.refused(cloudsim.CreateInterface{Subnet: w.far.ID}) }
		all := func() error { return w.list(cloudsim.Describe{}) }
		some := func() error { return w.list(cloudsim.Describe{MaxResults: 5}) }
		got := []int{served(150, create), served(150, all), served(150, some)}
		time.Sleep(time.Second)
		got = append(got, served(50, create), served(50, all), served(50, some))
		same(t, got, []int{100, 50, 100, 5, 10, 20})
		if n := w.Counts()["CreateNetworkInterface"]; n.Calls != 200 || n.Throttled != 95 || n.Effects != 105 {
			t.Errorf("the log counts %+v", n)
		}
		for name, b := range cloudsim.KnownBuckets() {
			if b.Source == "" {
				t.Errorf("%s has no source", name)
			}
		}
	})
}

// rule is a policy that is asked, and says no to one API.
type rule struct {
	asked []string
	no    string
}

func (r *rule) Allow(call cloudsim.Call, on []cloudsim.Resource) error {
	for _, o := range on {
		r.asked = append(r.asked, fmt.Sprintf("%s%s %s wanted %d in %s", call.API, call.Creating, o.Type, len(o.Wanted), o.Subnet))
	}
	if call.API == r.no {
		return errors.New("the action is " + call.API)
	}
	return nil
}

func TestAPolicyIsAskedAboutEachResource(t *testing.T) {
	policy := &rule{no: "CreateTags"}
	w := newWorld(t, cloudsim.Options{Policy: policy})
	tagged := cloudsim.CreateInterface{Groups: []string{"sg-1"}, Tags: cloudsim.Tags{"a": "x"}}
	if err := w.refused(tagged); code(err) != "UnauthorizedOperation" {
		t.Errorf("it is %v", err)
	}
	same(t, policy.asked, []string{
		"CreateNetworkInterface network-interface wanted 1 in subnet-near", "CreateNetworkInterface subnet wanted 0 in subnet-near",
		"CreateNetworkInterface security-group wanted 0 in ", "CreateTagsCreateNetworkInterface network-interface wanted 1 in subnet-near",
	})
	e := w.create(cloudsim.CreateInterface{})
	w.Log(0)
	policy.asked = nil
	w.attach(e.ID, 1)
	same(t, policy.asked, []string{"AttachNetworkInterface network-interface wanted 0 in subnet-near", "AttachNetworkInterface instance wanted 0 in subnet-near"})
	policy.no = "DescribeNetworkInterfaces"
	if err := w.list(cloudsim.Describe{}); code(err) != "UnauthorizedOperation" {
		t.Errorf("reading: %v", err)
	}
}

// A dry run changes nothing, and says what a real one would.
func TestADryRunIsNoRun(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	before := len(w.Interfaces())
	w.call.DryRun = true
	got := []string{
		code(w.refused(cloudsim.CreateInterface{Token: "t"})), code(w.refused(cloudsim.CreateInterface{Subnet: "subnet-" + nobody})),
		code(w.list(cloudsim.Describe{})), code(w.detach(w.node.Interfaces[0].Attachment.ID, false)),
	}
	same(t, got, []string{"DryRunOperation", "InvalidSubnetID.NotFound", "DryRunOperation", "OperationNotPermitted"})
	if n := len(w.Interfaces()); n != before {
		t.Errorf("there are %d interfaces, and were %d", n, before)
	}
}

// A seed replays a run: ids, MACs, addresses and times.
func TestASeedReplaysARun(t *testing.T) {
	run := func(seed uint64) (all []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.Options{Seed: seed, Latency: cloudsim.ObservedLatency()})
			for n := range 3 {
				e := w.create(cloudsim.CreateInterface{IPv6Count: new(1)})
				time.Sleep(time.Second)
				if n < 2 {
					w.attach(e.ID, n+1)
				}
				all = append(all, e.ID, e.MAC.String(), e.Primary().String(), e.IPv6[0].String())
			}
			time.Sleep(time.Minute)
			for _, l := range w.Log(0) {
				all = append(all, fmt.Sprint(l))
			}
		})
		return all
	}
	first := run(1)
	same(t, run(1), first)
	if slices.Equal(run(2), first) {
		t.Error("another seed is the same run")
	}
}
