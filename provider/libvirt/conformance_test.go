package libvirt_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/providertest"
)

func TestConformance(t *testing.T) {
	for _, mode := range []virt.HotplugMode{virt.ACPI, virt.Native} {
		for name, lose := range map[string]func(world, string){"LedgerLoses": world.loseWrite, "HypervisorLoses": world.loseCall} {
			t.Run(string(mode)+name, func(t *testing.T) {
				t.Parallel()
				providertest.RunBubble(t, func(*testing.T) *providertest.Rig {
					w := newWorld(mode)
					return &providertest.Rig{
						Provider: w.controller(),
						Places:   [2]nic.Place{vm1, vm2},
						Spec:     newSpec,
						Settle:   func(*testing.T) { time.Sleep(letsGo(mode) / 10) },
						Restart:  func(*testing.T) provider.Provider { return w.controller() },
						Fail:     w.failCall,
						Lose:     func(op string) { lose(w, op) },
						SetOff:   w.setOff,
					}
				})
			})
		}
	}
}

// failCall makes the next call of op fail before it has done anything.
func (w world) failCall(op string, kind error) {
	if op == "limits" || op == "off" { // they ask only libvirt
		w.failNext(opDomain, kind)
		return
	}
	w.ledger.Before(1, func() error { return kind })
}

// loseWrite loses the reply of the write in the next call of op.
func (w world) loseWrite(op string) {
	n := 2 // each verb reads once before it
	if op == "detach" {
		n = 3
	}
	w.ledger.After(n, func() error { return errors.New("the store broke before the reply") })
}

// loseCall loses libvirt's reply, where op has something of it.
func (w world) loseCall(op string) {
	switch op {
	case "attach":
		w.loseNext(opPlug)
	case "detach":
		w.loseNext(opUnplug)
	default:
		w.loseWrite(op)
	}
}
