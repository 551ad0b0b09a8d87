//go:build linux

package vm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// fill leaves so many of a domain's ports free, until the test ends.
func (r *rig) fill(domain string, free int) {
	r.t.Helper()
	has := func(ctx context.Context) (taken []virt.Interface, slots virt.Slots, err error) {
		d, err := r.Virt().Domain(ctx, domain)
		taken = slices.DeleteFunc(d.Live, func(i virt.Interface) bool { return !strings.HasPrefix(i.Alias, "ua-filler-") })
		return taken, d.Slots, err
	}
	r.t.Cleanup(func() {
		ctx := context.WithoutCancel(r.t.Context())
		err := await(ctx, domain+" to let the fillers go", endTime, func(ctx context.Context) error {
			left, _, err := has(ctx)
			for _, i := range left {
				_ = r.Virt().Unplug(ctx, domain, i) // it is asked again
			}
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("%d are left", len(left))
			}
			return err
		})
		if err != nil {
			r.t.Error(err)
		}
	})
	_, slots, err := has(r.t.Context())
	r.must(err)
	for n := range slots.Free - free {
		i := virt.Interface{Alias: fmt.Sprintf("ua-filler-%d", n), MAC: nic.NewMAC(), Port: lanPort()}
		r.must(r.Virt().Plug(r.t.Context(), domain, i))
	}
}

// Four ports are free and six containers want one: four get it, and nothing is
// made for the others until one of the four goes.
func TestF23_FourPortsSixContainers(t *testing.T) {
	r := use(t)
	r.fill("vm1", 4)
	taps, log := r.taps(), r.controllerLog()
	// Made and not started, which is quick; their NICs are plugged in all the same.
	r.sh(r.node(1), `for n in 1 2 3 4 5 6; do
		docker create --network none --label nicferry.network=lab --name c$n nicferry-lab/busybox >/dev/null &
	done; wait`)
	ready := func(want, others int) (refused []api.ClaimView, in string) {
		t.Helper()
		r.until(fmt.Sprintf("%d claims to be ready and %d refused", want, others), patience, func(ctx context.Context) error {
			claims, err := list[api.ClaimView](ctx, r.Cluster, "claims")
			refused, in = nil, ""
			n := 0
			for _, c := range claims {
				switch c.Phase {
				case nic.ClaimRefused:
					if c.NIC == "" { // else the NIC that was planned is being crossed out
						refused = append(refused, c)
					}
				case nic.ClaimReady:
					n, in = n+1, c.Container
				}
			}
			if err == nil && (n != want || len(refused) != others || len(claims) != want+others) {
				err = fmt.Errorf("%d of %d are ready and %d refused", n, len(claims), len(refused))
			}
			return err
		})
		return refused, in
	}
	refused, in := ready(4, 2)
	for _, c := range refused {
		if said := fmt.Sprint(c.Conditions); !strings.Contains(said, "vm1: 0 of 16 hot-plug slots free") {
			t.Errorf("%s has the conditions %s", c.Container, said)
		}
	}
	if n := strings.Count(log(), `"NIC plugged in"`); n != 4 {
		t.Errorf("%d NICs were plugged in; want 4", n)
	}
	if live, stored := r.cards("vm1"); len(live) != 4 || len(stored) != 4 {
		t.Errorf("vm1 has %d cards live and %d stored; want 4", len(live), len(stored))
	}
	if made := r.taps() - taps; made != 4 {
		t.Errorf("%d taps were made; want 4", made)
	}
	r.docker(r.node(1), "rm", "-f", in)
	ready(4, 1)
}

// taps counts the host's taps.
func (r *rig) taps() int {
	r.t.Helper()
	return strings.Count(r.host("ls", "/sys/class/net"), "vnet")
}
