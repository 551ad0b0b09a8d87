//go:build linux

package vm

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/plug"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// Two containers of a guest, which is an instance of an emulated EC2, share one card:
// by ipvlan, which the guest's kernel has. Both are reached from outside, reach each
// other, and reach no metadata. One goes, and the agent dies, without the other's
// noticing; the card goes with the last one. The long tests bring up a lab for it.
func TestContainersShareACardInAGuest(t *testing.T) {
	if !long() {
		return
	}
	r := own(t, cluster.Options{Nodes: 1, Cloud: &cluster.Cloud{Seed: 1}})
	n := r.node(1)
	r.run(n, "one", "--label", "nicferry.network=shared")
	one := r.seat("one")
	mark := len(r.cloudLog(0))
	r.run(n, "two", "--label", "nicferry.network=shared")
	two := r.seat("two")
	for _, e := range r.cloudLog(mark) {
		if e.Effect && e.API != "" {
			t.Errorf("the second start did %+v", e)
		}
	}
	if one == two {
		t.Errorf("both have %s", one)
	}
	if card := r.eth0(n, "one"); card.MAC != r.eth0(n, "two").MAC {
		t.Errorf("they have cards of their own: %+v", card)
	}
	cards := r.cloudsCards(n.Name)
	for _, c := range []struct {
		container string
		its       netip.Addr
		other     netip.Addr
	}{{"one", one, two}, {"two", two, one}} {
		r.pings(c.its)
		r.docker(n, "exec", c.container, "ping", "-c", "1", "-W", "5", c.other.String())
		if out := r.in(c.container, "ping -c 1 -W 1 "+vendors.EC2().Metadata+" || echo nobody"); !strings.Contains(out, "nobody") {
			t.Errorf("%s reaches the metadata service:\n%s", c.container, out)
		}
	}
	r.must(n.KillAgent(t.Context()))
	r.pings(two)
	r.must(n.StartAgent(t.Context()))
	r.docker(n, "rm", "-f", "one")
	r.until("the first one's claim to end", endTime, func(ctx context.Context) error {
		if c, err := r.claim(ctx, "one"); err == nil {
			return fmt.Errorf("it is %s: %v", c.Phase, c.Conditions)
		}
		return nil
	})
	r.pings(two)
	if now := r.seat("two"); now != two {
		t.Errorf("the one that stays has %s, had %s", now, two)
	}
	if left := r.cloudsCards(n.Name); left != cards {
		t.Errorf("the guest has %d cards, had %d", left, cards)
	}
	r.docker(n, "rm", "-f", "two")
	r.until("the card to be unplugged", endTime, func(context.Context) error {
		if left := r.cloudsCards(n.Name); left != cards-1 {
			return fmt.Errorf("the guest has %d cards, had %d", left, cards)
		}
		return nil
	})
	r.until("nothing to be left", endTime, r.leftovers)
}

// cloudsCards is how many cards the cloud has plugged into a guest.
func (r *rig) cloudsCards(domain string) (count int) {
	r.t.Helper()
	d, err := r.Virt().Domain(r.t.Context(), domain)
	r.must(err)
	for _, i := range d.Live {
		if strings.HasPrefix(i.Alias, plug.AliasPrefix) {
			count++
		}
	}
	return count
}

// seat is the address of a container's claim, once it is bound.
func (r *rig) seat(container string) netip.Addr {
	r.t.Helper()
	c := r.claimed(container, nic.ClaimBound)
	if len(c.Identity.Addrs) != 1 {
		r.t.Fatalf("%s has %v", container, c.Identity.Addrs)
	}
	return c.Identity.Addrs[0].Addr()
}

// cloudLog is what the lab's cloud was asked since a mark.
func (r *rig) cloudLog(mark int) (log []cloudsim.Entry) {
	r.t.Helper()
	r.must(r.AskCloud(r.t.Context(), http.MethodGet, fmt.Sprintf("/log?after=%d", mark), nil, &log))
	return log
}
