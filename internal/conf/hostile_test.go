package conf

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostileSize is a quarter of the largest file, so that the race detector has
// time for it too.
const hostileSize = maxSize / 4

// TestHostileSizes gives large files that make the most of one thing. Each is
// refused or read while a person still waits for "config check".
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nproviders: [{name: local, kind: local}]\n"
	fill := func(unit string, n int) string { return strings.Repeat(unit, (hostileSize-len(head)-n)/len(unit)) }
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i/62500%250, i/250%250, i%250, i)
		}
		return b.String()
	}
	network := func(rest string) string {
		return head + "networks:\n- name: a\n  provider: local\n  addressing: ipam\n  veth: {bridge: b}\n" + rest
	}
	for name, c := range map[string]struct{ file, want string }{
		"comments":  {head + fill("#\n", 0), ""},
		"deep flow": {head + "a: " + fill("[", 9), "depth"},
		"deep list": {head + "networks:\n" + fill("- ", 20), "depth"},
		"maps":      {head + "a: " + fill("{", 9), "depth"},
		"open quote": {
			head + "socket: \"" + fill("a\n", 20),
			"not closed",
		},
		"nulls":     {head + "networks: [" + fill("~,", 20) + "]", "items, at most"},
		"networks":  {head + "networks:\n" + fill("- {}\n", 20), "items, at most"},
		"long name": {head + "networks: [{name: " + fill("x", 90) + ", provider: local, addressing: dhcp, macvlan: {parent: e}}]", "at most 63"},
		"long key":  {head + fill("x", 20) + ": 1\n", ""},
		"long text": {head + "socket: " + fill("é", 20) + "\n", "the kernel allows"},
		"fields":    {head + many("f%[4]d: 1\n", 20000), "more faults"},
		"same field": {
			head + fill("socket: /x\n", 20),
			"more faults",
		},
		"uplinks":  {head + "networks: [{name: a, provider: local, addressing: dhcp, veth: {bridge: b, owned: true, uplinks: [" + many("e%[4]d,", 4096) + "]}}]", ""},
		"ranges":   {network("  subnets: [{prefix: 10.0.0.0/8, ranges: [" + strings.Repeat("10.0.0.0-10.250.0.0,", 4096) + "]}]\n"), "more faults"},
		"prefixes": {network("  subnets:\n" + many("  - prefix: 10.%[1]d.0.0/16\n", 4096)), "more faults"},
		"routes": {
			network("  subnets:\n" + many("  - prefix: 10.%[2]d.%[3]d.0/24\n", 2048) + "  routes:\n" + many("  - {to: 12.%[2]d.%[3]d.0/24, via: 11.0.0.1}\n", 2048)),
			"more faults",
		},
		"excludes": {
			network("  subnets: [{prefix: 10.0.0.0/8, ranges: [" + many("10.0.%[2]d.%[3]d,", 2048) + "], exclude: [" + strings.Repeat("10.9.0.1,", 2048) + "]}]\n"),
			"own address",
		},
		"providers": {"version: 1\nproviders:\n" + many("- {name: provider-with-a-long-name-number-%[4]d, kind: local}\n", 4096) +
			"networks:\n" + many("- {name: n%[4]d, provider: provider-with-a-long-name-numbr-%[4]d, addressing: dhcp}\n", 4096), "more faults"},
		"ports": {
			"version: 1\nproviders: [{name: vms, kind: libvirt}]\nnetworks:\n" +
				many("- {name: n%[4]d, provider: vms, addressing: dhcp, port: {ovs: b%[4]d, bridge: c, vlan: 5000}}\n", 2700),
			"more faults",
		},
		"URI": {"version: 1\nproviders: [{name: vms, kind: libvirt, libvirt: {uri: \"qemu+ssh://" + fill("x", 120) + "/system\"}}]\n", "is no URI"},
		"switch": {
			"version: 1\nproviders: [{name: vms, kind: libvirt}]\nnetworks: [{name: a, provider: vms, addressing: dhcp, port: {network: " +
				fill("x", 200) + ", filter: " + strings.Repeat("y", 9999) + "}}]\n",
			"at most 63",
		},
		"cards": {
			"version: 1\nproviders: [{name: cards, kind: sriov}]\nnetworks:\n" +
				many("- {name: n%[4]d, provider: cards, addressing: dhcp, sriov: {bond: {a: ['*'], b: ['*']}}}\n", 2800),
			"more faults",
		},
		"VFs": {
			"version: 1\nproviders: [{name: cards, kind: sriov}]\nnetworks: [{name: a, provider: cards, addressing: dhcp, sriov: {bond: {a: ['e#" +
				many("%[4]d,", 20000) + "65534'], b: ['e#" + many("%[4]d,", 20000) + "65534', f]}}}]\n",
			"",
		},
		"instances": {
			"version: 1\nproviders: [{name: vms, kind: libvirt}]\nnodes:\n" + many("  n%[4]d: {instances: {vms: one}}\n", 4096),
			"more faults",
		},
		"aliases": {head + "a: &a [" + strings.Repeat("x,", 1000) + "]\nnetworks: [" + strings.Repeat("*a,", 4096) + "]", "more faults"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.file) > maxSize {
				t.Fatalf("a file of %d bytes, which would be refused for that", len(c.file))
			}
			start := time.Now()
			_, err := ParseController("f", []byte(c.file))
			if took := time.Since(start); took > time.Minute { // a second, where there is no other work
				t.Errorf("took %s", took)
			} else {
				t.Logf("took %s", took)
			}
			if err != nil {
				checkFaults(t, []byte(c.file), err)
			}
			if c.want != "" && !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %.500s, want %q", fmt.Sprint(err), c.want)
			}
		})
	}
}
