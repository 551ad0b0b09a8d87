package libvirt_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/provider"
)

// Off is what a move may start a container elsewhere by, so that it is said of
// nothing that may wake up with its containers running.
func TestF64_OnlyADomainThatStartsAnewIsOff(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w world)
		want bool
		kind error
	}{
		"running":   {do: func(world) {}},
		"destroyed": {do: func(w world) { w.destroy("vm1") }, want: true},
		"paused":    {do: func(w world) { w.pause("vm1") }},
		"saved":     {do: func(w world) { w.destroy("vm1"); w.hand("vm1", func(d *domain) { d.Asleep = true }) }},
		"undefined": {do: func(w world) { w.destroy("vm1"); w.undefine("vm1") }, kind: provider.ErrNotFound},
		"no answer": {do: func(w world) { w.failNext(opDomain, virt.ErrUnreachable) }, kind: provider.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(virt.ACPI)
				c.do(w)
				off, err := w.controller().Off(t.Context(), vm1.Instance)
				if off != c.want || !errors.Is(err, c.kind) {
					t.Errorf("off %t, %v; want %t, %v", off, err, c.want, c.kind)
				}
			})
		})
	}
}
