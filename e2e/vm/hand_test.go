//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/providertest"
)

// A hand is one NIC in the hand of the test, by a libvirt provider of its own
// with a ledger of its own. It goes with the test.
type hand struct {
	r      *rig
	p      *libvirt.Provider
	hv     libvirt.Hypervisor
	ledger *providertest.Ledger
	spec   nic.Spec
	log    *journal
}

// hand makes a NIC that is plugged in nowhere, on the lab's libvirtd or on what
// stands before it.
func (r *rig) hand(hv libvirt.Hypervisor) *hand {
	r.t.Helper()
	h := &hand{r: r, hv: hv, ledger: providertest.NewLedger(), log: &journal{}}
	h.restart()
	h.make()
	return h
}

// another is another NIC of the same provider.
func (h *hand) another() *hand {
	h.r.t.Helper()
	o := &hand{r: h.r, p: h.p, hv: h.hv, ledger: providertest.NewLedger(), log: h.log} // the ledger stays empty
	o.make()
	return o
}

func (h *hand) make() {
	r := h.r
	r.t.Helper()
	h.spec = nic.Spec{NIC: nic.NewID(), Network: "lab", Tenant: "default", Node: "test", MAC: nic.NewMAC(), Port: lanPort()}
	_, err := h.p.Create(r.t.Context(), h.spec)
	r.must(err)
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), endTime)
		defer cancel()
		if err := h.remove(ctx); err != nil {
			r.t.Error(err)
		}
	})
}

// restart puts a provider in the old one's place that knows what the ledger
// does.
func (h *hand) restart() {
	p, err := libvirt.New(libvirt.Options{
		Name: "test", Ledger: h.ledger, Log: slog.New(slog.NewTextHandler(h.log, nil)),
		Open: func(context.Context) (libvirt.Hypervisor, error) { return h.hv, nil },
	})
	h.r.must(err)
	h.p = p
}

// remove takes the NIC away, wherever it is, and demands that no record of it is
// left.
func (h *hand) remove(ctx context.Context) error {
	err := await(ctx, "the test's NIC to be gone", endTime, func(ctx context.Context) error {
		err := h.p.Delete(ctx, h.spec.NIC)
		if errors.Is(err, provider.ErrNotFound) {
			return nil
		}
		all, lost := h.p.Get(ctx, h.spec.NIC)
		if at := all[h.spec.NIC].Place.Instance; at != "" {
			lost = errors.Join(lost, h.p.Detach(ctx, h.spec.NIC, at))
		}
		return errors.Join(errors.New("it is not gone"), err, lost)
	})
	if left := h.ledger.Records(); err == nil && len(left) > 0 {
		err = fmt.Errorf("left in the ledger: %q", left)
	}
	return err
}

func (h *hand) alias() string { return aliasPrefix + string(h.spec.NIC) }

func at(domain string) nic.Place {
	return nic.Place{Node: "test", Instance: nic.InstanceID(domain)}
}

// attach demands that the NIC is plugged in, as soon as a port has rested.
func (h *hand) attach(domain string) {
	h.r.t.Helper()
	h.r.until(domain+" to take a card", patience, func(ctx context.Context) error {
		_, err := h.p.Attach(ctx, h.spec.NIC, at(domain))
		if e, ok := errors.AsType[*provider.Error](err); err != nil && (!ok || e.RetryAfter == 0) {
			h.r.t.Fatal(err)
		}
		return err
	})
	h.want(nic.StateAttached, patience)
}

// refused demands that Attach is refused in that way.
func (h *hand) refused(domain string, kind error) error {
	h.r.t.Helper()
	_, err := h.p.Attach(h.r.t.Context(), h.spec.NIC, at(domain))
	if !errors.Is(err, kind) {
		h.r.t.Errorf("attach to %s: %v; want %v", domain, err, kind)
	}
	return err
}

// detach starts an unplug. A guest with native hot-plug refuses that for a
// moment after the plug.
func (h *hand) detach(domain string) {
	h.r.t.Helper()
	h.r.until("the guest to take an unplug", patience, func(ctx context.Context) error {
		err := h.p.Detach(ctx, h.spec.NIC, nic.InstanceID(domain))
		if err != nil && !errors.Is(err, provider.ErrBusy) {
			h.r.t.Fatal(err)
		}
		return err
	})
}

// state is what the provider says of the NIC now.
func (h *hand) state() nic.State {
	h.r.t.Helper()
	all, err := h.p.Get(h.r.t.Context(), h.spec.NIC)
	h.r.must(err)
	return all[h.spec.NIC].State
}

// want waits until the provider says so.
func (h *hand) want(state nic.State, within time.Duration) {
	h.r.t.Helper()
	h.r.until(fmt.Sprintf("the NIC to be %s", state), within, func(ctx context.Context) error {
		all, err := h.p.Get(ctx, h.spec.NIC)
		if seen := all[h.spec.NIC]; err == nil && seen.State != state {
			err = fmt.Errorf("it is %s: %s", seen.State, seen.Reason)
		}
		return err
	})
}

// inDomain counts the cards with the NIC's alias or MAC, in the running machine
// and in its definition, as libvirt's XML has them.
func (h *hand) inDomain(domain string) (live, stored int) {
	h.r.t.Helper()
	count := func(xml string) int {
		return max(strings.Count(xml, h.alias()), strings.Count(xml, h.spec.MAC.String()))
	}
	return count(h.r.virsh("dumpxml", domain)), count(h.r.virsh("dumpxml", "--inactive", domain))
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// listen has the provider hear libvirt's events, on a connection of its own,
// until the test ends.
func (h *hand) listen() {
	h.r.t.Helper()
	conn, err := virt.Open(h.r.t.Context(), virt.Options{URI: h.r.Host().URI()})
	h.r.must(err)
	h.hv = conn
	h.restart()
	ctx, stop := context.WithCancel(h.r.t.Context())
	var hints sync.WaitGroup
	hints.Go(func() { h.p.Hints(ctx, func(nic.ID) {}) })
	h.r.t.Cleanup(func() {
		h.hv = h.r.Virt()
		h.restart()
		stop()
		hints.Wait()
		if err := conn.Close(); err != nil {
			h.r.t.Error(err)
		}
	})
}

// suspend freezes a guest until resume is called or the test ends.
func (r *rig) suspend(domain string) (resume func()) {
	r.t.Helper()
	r.must(r.Virt().Suspend(r.t.Context(), domain))
	resume = func() {
		if err := r.Virt().Resume(context.WithoutCancel(r.t.Context()), domain); err != nil {
			r.t.Error(err)
		}
	}
	r.t.Cleanup(resume)
	return resume
}

// sleep lets real time pass: for guests and for the spacing of requests there
// is nothing to wait for but that.
func sleep(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
