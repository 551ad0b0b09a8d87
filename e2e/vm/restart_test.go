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

func names(err error, what string) bool { return strings.Contains(err.Error(), what) }

// The controller is killed while a container's NIC is taken out. The next one
// goes on, and the guest serves the next container.
func TestF26_ControllerKilledInADetach(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.run(n, "web", "--label", "nicferry.network=lab")
	r.eth0(n, "web")
	r.docker(n, "rm", "-f", "web")
	r.must(r.KillController(t.Context()))
	r.must(r.StartController(t.Context()))
	r.run(n, "next", "--label", "nicferry.network=lab")
	r.eth0(n, "next")
	r.until("only the next one's NIC to be left", patience, func(ctx context.Context) error {
		nics, err := list[nic.NIC](ctx, r.Cluster, "nics")
		if live, stored := r.cards("vm1"); err == nil && (len(nics) != 1 || len(live) != 1 || len(stored) != 1) {
			err = fmt.Errorf("there are %d NICs, %d cards live and %d stored", len(nics), len(live), len(stored))
		}
		return err
	})
}

// libvirtd is killed between a request and its event. What has come of the
// request is found by listing.
func TestF28_LibvirtdKilledAfterARequest(t *testing.T) {
	r := use(t)
	h := r.hand(r.Virt()) // it hears no events at all
	h.attach("vm2")
	h.detach("vm2")
	r.must(r.Host().Kill(t.Context(), "libvirtd"))
	sleep(t, 2*time.Second) // the guest has let it go, and nobody was told
	if all, err := h.p.Get(t.Context(), h.spec.NIC); err == nil {
		t.Errorf("without libvirtd Get says %+v", all)
	}
	r.must(r.Host().Restart(t.Context()))
	r.until("libvirt to be back", patience, func(ctx context.Context) error {
		_, err := h.p.Get(ctx, h.spec.NIC)
		return err
	})
	h.want(nic.StateAvailable, patience)
	h.attach("vm2")
	h.detach("vm2")
	h.want(nic.StateAvailable, patience)
}

// The same under the controller, with one container going and one coming.
func TestF28_LibvirtdKilledUnderTheController(t *testing.T) {
	r := use(t)
	n := r.node(2)
	r.run(n, "old", "--label", "nicferry.network=lab")
	r.eth0(n, "old")
	r.docker(n, "rm", "-f", "old")
	r.must(r.Host().Kill(t.Context(), "libvirtd"))
	r.run(n, "new", "--label", "nicferry.network=lab")
	r.must(r.Host().Restart(t.Context()))
	fresh := r.eth0(n, "new")
	r.pings(fresh.Addr.Addr())
	r.until("the old one's NIC to be gone", patience, func(ctx context.Context) error {
		nics, err := list[nic.NIC](ctx, r.Cluster, "nics")
		if live, _ := r.cards("vm2"); err == nil && (len(nics) != 1 || len(live) != 1 || live[0].MAC.String() != fresh.MAC) {
			err = fmt.Errorf("there are the NICs %v and the cards %v", nics, live)
		}
		return err
	})
}
