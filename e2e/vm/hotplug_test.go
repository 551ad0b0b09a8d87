//go:build linux

package vm

import (
	"testing"
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
