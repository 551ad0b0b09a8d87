//go:build linux

package docs

import (
	"testing"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/prose"
)

// The example of moves from nothing, as a new user types it, and after it what the
// document about them shows.
func TestMigrateExample(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, fleet.Options{OneLAN: true})
	for _, vm := range []string{"vm1", "vm2"} {
		r.step(prose.Step{At: "made", On: vm, Command: "ip link set uplink0 down && ip link set uplink0 name eth1"})
	}
	r.follow("migrate-example")
	for _, vm := range []string{"vm1", "vm2"} {
		r.carry(vm+".token", vm, vm+".token")
	}
	r.follow("migrate-example-join")
	r.follow("migrate-example-go")
	r.follow("migrate")
}
