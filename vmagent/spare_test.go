//go:build linux

package vmagent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// spare waits until the node has a NIC ready that nobody holds.
func (r *rig) spare() (found nic.NIC) {
	r.t.Helper()
	r.t.Cleanup(func() {
		if r.t.Failed() {
			views, _ := r.alloc.NICs(r.t.Context(), "", 0)
			for _, v := range views {
				r.t.Logf("%+v %+v", v.NIC, v.Observed)
			}
		}
	})
	r.until("a spare NIC to be ready", func() bool {
		views, err := r.alloc.NICs(r.t.Context(), "", 0)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, v := range views {
			if v.Phase == nic.PhaseSpare && v.Observed != nil && v.Observed.State == nic.ObservedMade {
				found = v.NIC
				return true
			}
		}
		return false
	})
	return found
}

// changes are what the cloud was asked to change: to look, it may be asked at any time.
func (r *rig) changes() []fake.Call {
	return slices.DeleteFunc(r.cloud.Calls(), func(c fake.Call) bool {
		return !slices.Contains([]string{fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete}, c.Op)
	})
}

// A NIC that is given back waits in the host namespace, down and as it was born,
// and goes into the next container.
func TestS14_ASpareIsCleanAndServesTheNext(t *testing.T) {
	for _, network := range []string{"pool", "pool-plugged"} {
		t.Run(network, func(t *testing.T) {
			r := newRig(t)
			labels := map[string]string{nic.LabelNetwork: network}
			ns := r.engine.run(t, id(1), labels)
			if network == "pool-plugged" {
				waits := r.observed(id(1), nic.ObservedWaiting)
				r.plugIn("ens7", waits.Identity.MAC)
			}
			first := r.bound(id(1))
			netnstest.Run(t, ns, "ip", "link", "set", "eth0", "mtu", "1300", "promisc", "on", "alias", "mine")
			netnstest.Run(t, ns, "ip", "addr", "add", "192.0.2.9/24", "dev", "eth0")
			netnstest.Run(t, ns, "ip", "neigh", "add", "192.0.2.8", "lladdr", "02:00:00:00:00:08", "dev", "eth0")
			r.engine.die(id(1))
			r.engine.remove(id(1))
			spare := r.spare()
			if spare.ID != first.NIC || spare.Holder != "" {
				t.Fatalf("spare is %+v, want %s, held by nobody", spare, first.NIC)
			}
			name := spare.ID.LinkName("nt")
			shown := netnstest.Run(t, r.host, "ip", "-o", "-d", "addr", "show", "dev", name)
			link := netnstest.Run(t, r.host, "ip", "-o", "-d", "link", "show", "dev", name)
			if strings.Contains(shown, "inet") || strings.Contains(link, ",UP") || strings.Contains(link, "mine") ||
				!strings.Contains(link, "mtu 1500") || !strings.Contains(link, "promiscuity 0") || !strings.Contains(link, spare.Spec.MAC.String()) {
				t.Errorf("the spare is not clean:\n%s\n%s", link, shown)
			}
			if got := netnstest.Run(t, r.host, "ip", "neigh", "show", "dev", name); got != "" {
				t.Errorf("the spare knows neighbours of the last: %s", got)
			}
			before := r.changes()

			// The host's own doing is undone too.
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			netnstest.Run(t, r.host, "ip", "link", "set", name, "up")
			r.start()
			r.until("the spare to be down", func() bool {
				return !strings.Contains(netnstest.Run(t, r.host, "ip", "-o", "link", "show", "dev", name), ",UP")
			})

			ns = r.engine.run(t, id(2), labels)
			second := r.bound(id(2))
			if second.NIC != first.NIC || second.Identity.MAC != spare.Spec.MAC {
				t.Errorf("the next has %+v, want %s", second, first.NIC)
			}
			got := r.links(ns)
			if !strings.Contains(got, "eth0    inet "+second.Identity.Addrs[0].String()) || strings.Contains(got, "192.0.2.9") {
				t.Errorf("in the next container:\n%s", got)
			}
			if more := r.changes()[len(before):]; len(more) != 0 {
				t.Errorf("the cloud was asked for more: %+v", more)
			}
		})
	}
}
