package conf

import (
	"fmt"
	"strings"
	"testing"
)

// Links of two kinds on cards of one name are a fault where one provider's networks may
// be used on one node, a warning where the networks are of two, which may be for
// different nodes, and nothing where no node may use both.
func TestLinksOfTwoKinds(t *testing.T) {
	t.Parallel()
	const file = `version: 1
providers: [{name: cards, kind: sriov}, {name: here, kind: local}]
tenants: [{name: a}, {name: b}]
nodes: {one: {tenants: [a]}, two: {tenants: [%s]}}
networks:
  - name: fast
    provider: cards
    addressing: ipam
    tenants: [a]
    subnets: [{prefix: 10.1.0.0/24, ranges: [10.1.0.10-10.1.0.20]}]
    sriov: {pfs: ["eth0#0"], fallback: [ipvlan]}
  - %s
`
	const (
		own   = `{name: lan, provider: here, tenants: [b], addressing: dhcp, macvlan: {parent: eth0}}`
		cards = `{name: dmz, provider: cards, tenants: [b], addressing: dhcp, sriov: {pfs: ["eth0#1"], fallback: [macvlan]}}`
		want  = `network "fast" on line 11 gives ipvlans on eth0`
	)
	for _, c := range []struct {
		tenants, second string
		fault, warning  bool
	}{{"a, b", own, false, true}, {"b", own, false, false}, {"a, b", cards, true, false}, {"b", cards, false, false}} {
		read, err := ParseController("in.yaml", fmt.Appendf(nil, file, c.tenants, c.second))
		if got := err != nil && strings.Contains(err.Error(), want); got != c.fault || err != nil && !got {
			t.Errorf("tenants %s, %s: %v; want a fault: %t", c.tenants, c.second, err, c.fault)
		}
		if read == nil {
			continue
		}
		if got := len(read.Warnings) == 1 && strings.HasPrefix(read.Warnings[0].Error(), "in.yaml:12: networks[1].macvlan.parent: "+want); got != c.warning || len(read.Warnings) > 0 && !got {
			t.Errorf("tenants %s, %s: warnings are %v; want one: %t", c.tenants, c.second, read.Warnings, c.warning)
		}
	}
}
