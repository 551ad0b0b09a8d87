//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A container gets a NIC that was plugged into its guest for it, and the NIC
// is unplugged when the container is gone.
func TestPluggedByDHCP(t *testing.T) {
	r := use(t)
	r.run(r.node(1), "web", "--label", "nicferry.network=lab")
	web := r.eth0(r.node(1), "web")
	r.pings(web.Addr.Addr())
	live, stored := r.cards("vm1")
	if len(live) != 1 || len(stored) != 1 || live[0].MAC.String() != web.MAC || stored[0].MAC != live[0].MAC {
		t.Errorf("vm1 has live %+v and stored %+v; want the card %s in both", live, stored, web.MAC)
	}
}

// As soon as a NIC is said to be available it is out, and is plugged in again:
// it is never there twice, and never in use.
func TestF20_DetachedMeansGone(t *testing.T) {
	r := use(t)
	h := r.hand(r.Virt())
	for round := range rounds(5, 200) {
		h.attach("vm1")
		if live, stored := h.inDomain("vm1"); live != 1 || stored != 1 {
			t.Fatalf("round %d: vm1 has the card %d times live and %d times stored; want once each", round, live, stored)
		}
		h.detach("vm1")
		if h.state() == nic.StateDetaching {
			_, err := h.p.Attach(t.Context(), h.spec.NIC, at("vm1"))
			if err != nil { // else the guest has let it go meanwhile
				h.refused("vm2", provider.ErrElsewhere)
			}
		}
		h.detach("vm1")
		h.want(nic.StateAvailable, patience)
		if live, stored := h.inDomain("vm1"); live != 0 || stored != 0 {
			t.Fatalf("round %d: available, and vm1 has the card %d times live and %d times stored", round, live, stored)
		}
	}
}

// A second request to let a card go is no error, whoever makes it, and the NIC
// is on record until it is gone.
func TestF22_SecondUnplug(t *testing.T) {
	r := use(t)
	t.Run("acpi", func(t *testing.T) {
		h := (&rig{r.Cluster, t}).hand(r.Virt())
		h.attach("vm1")
		resume := h.r.suspend("vm1") // else there is no time for a second one
		again(h, "vm1")
		resume()
		h.want(nic.StateAvailable, patience)
	})
	t.Run("native", func(t *testing.T) {
		r := &rig{r.Cluster, t}
		s := r.spare("native", virt.Native)
		s.boot()
		h := r.hand(r.Virt())
		h.attach(s.name)
		s.sees(h.spec.MAC)
		again(h, s.name)
		h.want(nic.StateAvailable, patience)
	})
}

// again asks again and again for an unplug that is under way, also as a
// controller that knows nothing of the first request, and around all of it.
func again(h *hand, domain string) {
	t := h.r.t
	t.Helper()
	h.detach(domain)
	live, _ := h.r.cards(domain)
	for range 3 {
		h.restart()
		h.r.must(h.p.Detach(t.Context(), h.spec.NIC, nic.InstanceID(domain)))
		for _, card := range live {
			h.r.must(h.hv.Unplug(t.Context(), domain, card))
		}
		if state := h.state(); state != nic.StateDetaching {
			t.Fatalf("after a second request the NIC is %s", state)
		}
		if n := len(h.ledger.Records()); n < 2 {
			t.Fatalf("%d records of a NIC that is still there", n)
		}
	}
}

// Exactly the card with our alias goes, and not the twin before it that people
// have given the same MAC.
func TestF24_TheTwinStays(t *testing.T) {
	r := use(t)
	h := r.hand(r.Virt())
	h.attach("vm1")
	twin := virt.Interface{Alias: "ua-twin", MAC: h.spec.MAC, Port: lanPort()}
	ours, _ := r.cards("vm1")
	mine := ours[0]
	mine.Address = "" // the twin takes it
	byHand := func(i virt.Interface) {
		text, err := virt.MarshalInterface(i)
		r.must(err)
		path := filepath.Join(t.TempDir(), "card.xml")
		r.must(os.WriteFile(path, []byte(text), 0o600))
		r.virsh("attach-device", "vm1", path, "--live", "--config")
	}
	out := func(alias string) {
		t.Helper()
		r.virsh("detach-device-alias", "vm1", alias, "--live", "--config")
		r.until("vm1 to let "+alias+" go", patience, func(context.Context) error {
			if strings.Contains(r.virsh("dumpxml", "vm1"), alias) {
				return fmt.Errorf("it has it")
			}
			return nil
		})
	}
	out(h.alias())
	byHand(twin)
	defer func() {
		if strings.Contains(r.virsh("dumpxml", "vm1"), twin.Alias) {
			out(twin.Alias)
		}
	}()
	byHand(mine)
	h.want(nic.StateAttached, patience)
	h.detach("vm1")
	r.until("the NIC to be out of vm1", patience, func(context.Context) error {
		if strings.Contains(r.virsh("dumpxml", "vm1"), h.alias()) {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	for _, xml := range []string{r.virsh("dumpxml", "vm1"), r.virsh("dumpxml", "vm1", "--inactive")} {
		if !strings.Contains(xml, twin.Alias) {
			t.Errorf("the twin is gone:\n%s", xml)
		}
	}
	h.want(nic.StateAvailable, patience)
}

// A spaced hypervisor notes when guests were asked to let a card go.
type spaced struct {
	*virt.Conn
	asked []time.Time
}

func (s *spaced) Unplug(ctx context.Context, domain string, i virt.Interface) error {
	s.asked = append(s.asked, time.Now())
	return s.Conn.Unplug(ctx, domain, i)
}

// A domain without hot-plug by ACPI is warned of, and is not asked again before
// it can have done what it was asked.
func TestF27_NativeIsReportedAndNotHammered(t *testing.T) {
	r := use(t)
	s := r.spare("slow", virt.Native)
	r.until("the controller to warn of it", patience, func(context.Context) error {
		log, err := os.ReadFile(filepath.Join(r.Host().Dir(), "log", "nicferryd.log"))
		if err == nil && !strings.Contains(string(log), "domain unplugs by native PCIe hot-plug") {
			err = fmt.Errorf("its log says nothing")
		}
		return err
	})
	s.boot()
	asks := &spaced{Conn: r.Virt()}
	h := r.hand(asks)
	h.attach(s.name)
	s.sees(h.spec.MAC) // what a guest has not powered on goes at once
	resume := r.suspend(s.name)
	for begin := time.Now(); time.Since(begin) < 11*time.Second; sleep(t, 100*time.Millisecond) {
		err := h.p.Detach(t.Context(), h.spec.NIC, nic.InstanceID(s.name))
		if err != nil && !errors.Is(err, provider.ErrBusy) { // it may be frozen while it powers the card on
			t.Fatal(err)
		}
		if h.state() != nic.StateDetaching {
			t.Fatalf("the NIC of a frozen guest is %s", h.state())
		}
	}
	resume()
	h.detach(s.name)
	h.want(nic.StateAvailable, patience)
	if n := len(asks.asked); n < 2 || n > 5 {
		t.Errorf("the guest was asked %d times", n)
	}
	for i := 1; i < len(asks.asked); i++ {
		if gap := asks.asked[i].Sub(asks.asked[i-1]); gap < 5*time.Second {
			t.Errorf("it was asked again after %s; want 5 s", gap)
		}
	}
}
