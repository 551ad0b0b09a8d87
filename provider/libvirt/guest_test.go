//go:build libvirt && vm

package libvirt_test

import (
	"context"
	"errors"
	"flag"
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

// What the vm suite says of its lab:
//
//	go test -tags "libvirt libvirt_dlopen vm" -run TestGuests ./provider/libvirt \
//		-args -uri 'qemu+unix:///system?socket=…' -domains vm1,vm2 -bridge br0
var (
	guestURI     = flag.String("uri", "", "libvirt's URI")
	guestDomains = flag.String("domains", "", "two running domains with free root ports, by name or UUID")
	guestBridge  = flag.String("bridge", "", "a Linux bridge on their host")
)

// TestGuests runs the conformance suite against domains whose guests really let
// go of their cards.
func TestGuests(t *testing.T) {
	first, second, ok := strings.Cut(*guestDomains, ",")
	if !ok || *guestURI == "" || *guestBridge == "" {
		t.Fatal("needs -args -uri, -domains and -bridge: two running domains")
	}
	conn, err := virt.Open(t.Context(), virt.Options{URI: *guestURI, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	port := nic.Port{Kind: nic.PortBridge, Name: *guestBridge}
	var turn sync.Mutex // the cases share the two domains
	providertest.Run(t, func(t *testing.T) *providertest.Rig {
		turn.Lock()
		t.Cleanup(turn.Unlock) // after the case has taken its NICs away
		return guestRig(t, conn, port, [2]string{first, second})
	})
}

// guestRig is a rig on two running domains and an empty ledger.
func guestRig(t *testing.T, conn *virt.Conn, port nic.Port, domains [2]string) *providertest.Rig {
	t.Helper()
	hv := &tampered{Hypervisor: conn}
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
			return nic.Spec{NIC: id, Network: "lab", Tenant: "default", Node: "first", MAC: nic.NewMAC(), Port: port}
		},
		// A guest takes its time, and there is nothing to wait for but that.
		Settle:  func(*testing.T) { time.Sleep(100 * time.Millisecond) },
		Restart: func(*testing.T) provider.Provider { return controller() },
		Fail: func(op string, kind error) {
			if op == "limits" {
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
