//go:build linux

package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// surprise is what is logged of a card that went without having been asked to.
const surprise = "not by this controller"

// A guest that is frozen lets its card go when it wakes, and that is taken for
// what was asked of it, however long ago.
func TestF21_FrozenGuest(t *testing.T) {
	r := use(t)
	h := r.hand(r.Virt())
	h.listen()
	h.attach("vm1")
	resume := r.suspend("vm1")
	h.detach("vm1")
	for range rounds(5, 60) {
		h.detach("vm1")
		if state := h.state(); state != nic.StateDetaching {
			t.Fatalf("the NIC of a frozen guest is %s", state)
		}
		h.refused("vm1", provider.ErrBusy)
		h.refused("vm2", provider.ErrElsewhere)
		sleep(t, time.Second)
	}
	resume()
	h.want(nic.StateAvailable, patience)
	r.until("the removal to be told as ours", patience, func(context.Context) error {
		if log := h.log.String(); !strings.Contains(log, "guest has let the NIC go") {
			return errors.New("log:\n" + log)
		}
		return nil
	})
	if log := h.log.String(); strings.Contains(log, surprise) {
		t.Errorf("it was taken for a loss:\n%s", log)
	}
}

// The guest freezes while a container's NIC is on its way home.
func TestF21_FrozenWhileAContainerGoes(t *testing.T) {
	r := use(t)
	log := r.controllerLog()
	r.run(r.node(1), "web", "--label", "nicferry.network=lab")
	web := r.eth0(r.node(1), "web")
	r.docker(r.node(1), "rm", "-f", "web")
	resume := r.suspend("vm1")
	for range rounds(5, 60) {
		nics, err := list[nic.NIC](t.Context(), r.Cluster, "nics")
		r.must(err)
		if live, _ := r.cards("vm1"); len(live) > 0 && len(nics) == 0 {
			t.Fatalf("nothing is on record of card %s, which vm1 still has", web.MAC)
		}
		sleep(t, time.Second)
	}
	resume()
	r.until("the NIC to be gone", patience, r.leftovers)
	if text := log(); strings.Contains(text, surprise) {
		t.Errorf("the removal was taken for a loss:\n%s", text)
	}
}

// A guest that still boots may forget what it was asked; it is asked again.
func TestF21_BootingGuest(t *testing.T) {
	r := use(t)
	s := r.spare("booting", virt.ACPI)
	h := r.hand(r.Virt())
	s.start()
	h.attach(s.name)
	h.detach(s.name)
	r.until("the guest to have booted and let the card go", bootTime, func(ctx context.Context) error {
		if h.state() == nic.StateAvailable {
			return nil
		}
		return errors.Join(errors.New("it has the card"), h.p.Detach(ctx, h.spec.NIC, nic.InstanceID(s.name)))
	})
	if live, stored := h.inDomain(s.name); live+stored > 0 {
		t.Errorf("available, and the guest has the card %d times live and %d times stored", live, stored)
	}
}

// controllerLog returns a function for what the controller logs from now on.
func (r *rig) controllerLog() func() string {
	r.t.Helper()
	path := filepath.Join(r.Host().Dir(), "log", "nicferryd.log")
	before, err := os.ReadFile(path)
	r.must(err)
	return func() string {
		r.t.Helper()
		now, err := os.ReadFile(path)
		r.must(err)
		return string(now[min(len(before), len(now)):])
	}
}
