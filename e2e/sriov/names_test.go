//go:build linux

package sriov

import (
	"slices"
	"strings"

	"github.com/nicferry/nicferry/sriov"
)

// areNamed: S0-3 and S0-4 by the config alone. Cards are counted as it lists them, VFs go
// by the names that they had as well, and get theirs back from whoever changed them.
func (h *host) areNamed() {
	const config = "/tmp/agent.yaml"
	h.sh("printf 'version: 1\\nnode: n1\\nsriov: {cards: [{pf: \"%s\", vfs: 2}, {pf: \"%s\", vfs: 2}]}\\n' >%s", second, first, config)
	h.want(0, "4 VFs have got their names", "enable", "--config", config)
	want := map[sriov.Address][]string{second: {"VF11", "VF12"}, first: {"VF21", "VF22"}}
	for pf, names := range want {
		h.calls(pf, names...)
	}
	for _, name := range slices.Concat(want[first], want[second]) {
		former := strings.Fields(h.sh("ip -d link show dev %s | grep altname", name))
		if len(former) != 2 || h.sh("ip -o link show dev %s | cut -d: -f2", former[1]) != name {
			h.t.Errorf("%s goes by %q as well", name, former)
		}
	}
	h.want(0, "has 2 VFs", "enable", "--config", config) // and nothing else
	// By hand, and by a driver that is bound anew, whose interface is another.
	h.sh("ip link set VF22 name lan0")
	at := "/sys/bus/pci/devices/0000:01:10.0"
	h.sh("echo 0000:01:10.0 >%s/driver/unbind; echo 0000:01:10.0 >/sys/bus/pci/drivers/igbvf/bind", at)
	h.until("the VF to have its interface again", "test -d "+at+"/net/*")
	h.want(0, "2 VFs have got their names", "enable", "--config", config)
	h.calls(first, want[first]...)
	// What somebody uses keeps its name; the number of the VFs stays as it is.
	h.sh("ip link set VF11 name lan1; ip link set lan1 up")
	h.want(0, "is not called VF11, since it is switched on", "enable", "--config", config)
	h.sh("ip link set lan1 down")
	h.want(0, "1 VFs have got their names", "enable", "--config", config)
	for _, pf := range []sriov.Address{first, second} {
		h.want(0, "has 0 VFs", "enable", string(pf), "--vfs", "0")
	}
}

// calls wants the interfaces of a card's VFs to have those names.
func (h *host) calls(pf sriov.Address, names ...string) {
	h.t.Helper()
	var got []string
	for _, vf := range h.card(pf).VFs {
		got = append(got, vf.Name)
	}
	if !slices.Equal(got, names) {
		h.t.Errorf("the VFs of %s are called %q, want %q", pf, got, names)
	}
}
