package cloudsim_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// Whatever many callers do at once, addresses, indexes and the log add up, and in
// the end all is given back.
func TestNothingIsLostInChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: cloudsim.ObservedLatency(), Lag: cloudsim.Lag{Describe: cloudsim.Range{Max: 3 * time.Second}}})
		nodes := must(w.AddInstances(cloudsim.RunInstances{Type: "m5.4xlarge", Subnet: w.near.ID, Count: 4}))(t)
		free := w.free()
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() { w.churn(rand.New(rand.NewPCG(uint64(n), 0)), nodes, n) })
		}
		wg.Wait()
		time.Sleep(time.Minute)
		for _, i := range w.Interfaces() {
			if i.Tags["churn"] == "" {
				continue
			}
			if i.Attachment != nil {
				if err := w.detach(i.Attachment.ID, false); err != nil {
					t.Errorf("%s: %v", i.ID, err)
				}
			}
		}
		time.Sleep(time.Minute)
		for _, i := range w.Interfaces() {
			if i.Tags["churn"] != "" {
				must(0, w.DeleteInterface(t.Context(), w.call, i.ID))(t)
			}
		}
		for api, least := range map[string]int{"CreateNetworkInterface": 100, "AttachNetworkInterface": 50, "DetachNetworkInterface": 20, "AssignPrivateIpAddresses": 20, "DeleteNetworkInterface": 100} {
			if n := w.Counts()[api]; n.Effects < least {
				t.Errorf("%s: %+v: too little was tried", api, n)
			}
		}
		if got := w.free(); got != free {
			t.Errorf("%d addresses are free, and were %d", got, free)
		}
		for n, l := range w.Log(0) {
			if l.N != n+1 {
				t.Fatalf("entry %d has the number %d", n+1, l.N)
			}
		}
		time.Sleep(time.Minute)
		if p := must(w.DescribeInterfaces(t.Context(), w.call, cloudsim.Describe{Filters: []cloudsim.Filter{{Name: "tag-key", Values: []string{"churn"}}}}))(t); len(p.Items) != 0 {
			t.Errorf("%d are left", len(p.Items))
		}
	})
}

func (w *world) free() int {
	w.t.Helper()
	return must(w.DescribeSubnets(w.t.Context(), w.call, cloudsim.Describe{IDs: []string{w.near.ID}}))(w.t).Items[0].Free
}

// churn does things at random; most of them may be refused, none is unheard of.
func (w *world) churn(rng *rand.Rand, nodes []cloudsim.Instance, n int) {
	ctx := w.t.Context()
	var mine []cloudsim.Interface
	for step := range 150 {
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
		if len(mine) == 0 || rng.IntN(6) == 0 {
			e, err := w.CreateInterface(ctx, w.call, cloudsim.CreateInterface{Subnet: w.near.ID, Token: fmt.Sprint(n, step), Tags: cloudsim.Tags{"churn": "x"}, IPv4Count: rng.IntN(2)})
			if err == nil {
				mine = append(mine, e)
			}
			continue
		}
		k := rng.IntN(len(mine))
		e := mine[k]
		var err error
		switch rng.IntN(6) {
		case 0, 1:
			err = w.attachTo(nodes[rng.IntN(len(nodes))].ID, e.ID, 1+rng.IntN(7), nil)
		case 2, 3:
			p, seen := w.DescribeInterfaces(ctx, w.call, cloudsim.Describe{IDs: []string{e.ID}})
			if err = seen; err == nil && p.Items[0].Attachment != nil {
				err = w.detach(p.Items[0].Attachment.ID, false)
			}
		case 4:
			err = w.assign(cloudsim.AssignIPv4{Interface: e.ID, Addrs: []netip.Addr{last(mine[rng.IntN(len(mine))])}, AllowReassignment: true})
		default:
			if err = w.DeleteInterface(ctx, w.call, e.ID); err == nil {
				mine = append(mine[:k], mine[k+1:]...)
			}
		}
		if err != nil && code(err) == err.Error() {
			w.t.Errorf("not refused by the cloud: %v", err)
		}
	}
}

func last(e cloudsim.Interface) netip.Addr { return e.IPv4[len(e.IPv4)-1].Addr }
