//go:build linux

package vm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/libvirt"
	"github.com/nicferry/nicferry/provider/providertest"
)

// TestConformanceOnGuests runs the conformance suite of providers against guests that
// really let go of their cards.
func TestConformanceOnGuests(t *testing.T) {
	r := use(t)
	on := func(ctx context.Context) error { return r.powerOn(ctx, r.node(1)) }
	conform(t, r, 100*time.Millisecond, func(string) bool { return true }, on, "vm1", "vm2")
}

// nativeCases are those of the suite that are about an unplug under way, which
// native hot-plug takes 6 s for. The long tests run all.
var nativeCases = []string{"F20_DetachIsDoneWhenGetSaysAvailable", "F22_DetachSurvivesRestart", "DetachTwice", "F03_LostReply/detach"}

// The same with native hot-plug on one side.
func TestConformanceNative(t *testing.T) {
	r := use(t)
	s := r.spare("native", virt.Native)
	s.boot()
	on := func(context.Context) error { s.boot(); return nil }
	conform(t, r, 300*time.Millisecond, func(name string) bool { return long() || slices.Contains(nativeCases, name) }, on, s.name, "vm2")
}

// conform runs the suite's cases on two running domains, of which the first gets
// most of the work, and is started by on. Guests take their time: settle is a hundredth of it.
func conform(t *testing.T, r *rig, settle time.Duration, pick func(string) bool, on func(context.Context) error, first, second string) {
	t.Helper()
	var turn sync.Mutex // the cases share the two domains
	// In a test of its own, so that all its cases have ended before r's end.
	t.Run("on "+first, func(t *testing.T) {
		providertest.RunSome(t, pick, func(t *testing.T) *providertest.Rig {
			turn.Lock()
			t.Cleanup(turn.Unlock) // after the case has taken its NICs away
			rig := guestRig(t, r, [2]string{first, second})
			rig.Settle = func(*testing.T) { time.Sleep(settle) }
			rig.SetOff = func(instance nic.InstanceID, off bool) {
				set := on
				if off {
					set = func(ctx context.Context) error { return r.Virt().Destroy(ctx, string(instance)) }
				}
				if err := set(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return rig
		})
	})
}

// guestRig is a rig on two running domains and an empty ledger.
func guestRig(t *testing.T, r *rig, domains [2]string) *providertest.Rig {
	t.Helper()
	hv := &tampered{Hypervisor: r.Virt()}
	ledger := providertest.NewLedger()
	controller := func() provider.Provider {
		p, err := libvirt.New(libvirt.Options{
			Name: "guests", Ledger: ledger, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Open: func(context.Context) (libvirt.Hypervisor, error) { return hv, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return &providertest.Rig{
		Provider: controller(),
		Places: [2]nic.Place{
			{Node: "first", Instance: nic.InstanceID(domains[0])},
			{Node: "second", Instance: nic.InstanceID(domains[1])},
		},
		Spec: func(id nic.ID) nic.Spec {
			return nic.Spec{NIC: id, Network: "lab", Tenant: "default", Node: "first", MAC: nic.NewMAC(), Port: lanPort()}
		},
		Restart: func(*testing.T) provider.Provider { return controller() },
		Fail: func(op string, kind error) {
			if op == "limits" || op == "off" {
				hv.plan(opDomain, kind)
				return
			}
			ledger.Before(1, func() error { return kind })
		},
		Lose: func(op string) {
			switch op {
			case "attach":
				hv.plan(opPlug, virt.ErrInconclusive)
			case "detach":
				hv.plan(opUnplug, virt.ErrInconclusive)
			default:
				ledger.After(2, func() error { return errors.New("the store broke before the reply") })
			}
		},
	}
}

// lanPort is a NIC's place on the lab's LAN.
func lanPort() nic.Port { return nic.Port{Kind: nic.PortBridge, Name: cluster.LANBridge} }

// The ops of a hypervisor that can be tampered with.
const opDomain, opPlug, opUnplug = "domain", "plug", "unplug"

// A tampered hypervisor fails a look, or loses the reply of a change, once.
type tampered struct {
	libvirt.Hypervisor
	mu      sync.Mutex
	planned map[string]error
}

func (h *tampered) plan(op string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.planned = map[string]error{op: err}
}

func (h *tampered) due(op string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	err := h.planned[op]
	delete(h.planned, op)
	return err
}

func (h *tampered) Domain(ctx context.Context, id string) (virt.Domain, error) {
	if err := h.due(opDomain); err != nil {
		return virt.Domain{}, err
	}
	return h.Hypervisor.Domain(ctx, id)
}

func (h *tampered) Plug(ctx context.Context, id string, i virt.Interface) error {
	return errors.Join(h.Hypervisor.Plug(ctx, id, i), h.due(opPlug))
}

func (h *tampered) Unplug(ctx context.Context, id string, i virt.Interface) error {
	return errors.Join(h.Hypervisor.Unplug(ctx, id, i), h.due(opUnplug))
}
