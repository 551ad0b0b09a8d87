package conf

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

const tenantsFile = `version: 1
providers: [{name: local, kind: local}]
tenants:
  - {name: shop, quota: {nics: 2, addresses: 3, requests: 4}}
  - {name: test}
nodes:
  n1: {tenants: [shop, test]}
  n2:
networks:
  - {name: a, provider: local, addressing: dhcp, tenants: [shop], macvlan: {parent: eth1}}
  - {name: b, provider: local, addressing: dhcp, macvlan: {parent: eth1}}
`

func TestTenants(t *testing.T) {
	c, err := ParseController("in.yaml", []byte(tenantsFile))
	if err != nil {
		t.Fatal(err)
	}
	want := []nic.Tenant{{Name: "shop", Quota: nic.Quota{NICs: 2, Addresses: 3, Requests: 4}}, {Name: "test"}}
	if diff := cmp.Diff(want, c.Tenants); diff != "" {
		t.Error(diff)
	}
	for node, want := range map[string][]string{"n1": {"shop", "test"}, "n2": {"default"}, "other": {"default"}} {
		if got := c.TenantsOf(node); !slices.Equal(got, want) {
			t.Errorf("node %s is of %q, want %q", node, got, want)
		}
	}
	if !c.Networks[0].For("shop") || c.Networks[0].For("default") || !c.Networks[1].For("default") || c.Networks[1].For("shop") {
		t.Errorf("networks are of %q and %q", c.Networks[0].Tenants, c.Networks[1].Tenants)
	}
}

// Every fault is told with its line, all at once.
func TestTenantsFaults(t *testing.T) {
	_, err := ParseController("in.yaml", []byte(`version: 1
providers: [{name: local, kind: local}]
tenants:
  - {name: shop, quota: {nics: 0}}
  - {name: shop, quota: {addresses: -1}}
  - {name: "b;d", quota: {requests: 100000000}}
nodes:
  n1: {tenants: [shop, shop]}
  n2: {tenants: []}
networks:
  - {name: a, provider: local, addressing: dhcp, tenants: [shob], macvlan: {parent: eth1}}
`))
	got := strings.Split(strings.TrimSpace(err.Error()), "\n")
	want := []string{
		`in.yaml:4: tenants[0].quota.nics: 0; want 1 to`,
		`in.yaml:5: tenants[1].name: tenant "shop" is defined already on line 4`,
		`in.yaml:5: tenants[1].quota.addresses: -1; want 1 to`,
		`in.yaml:6: tenants[2].name: tenant name "b;d"`,
		`in.yaml:6: tenants[2].quota.requests: 100000000; want 1 to`,
		`in.yaml:8: nodes.n1.tenants[1]: tenant "shop" is named twice`,
		`in.yaml:9: nodes.n2.tenants: is empty`,
		`in.yaml:11: networks[0].tenants[0]: no tenant "shob"; did you mean "shop"?`,
	}
	if len(got) != len(want) {
		t.Fatalf("got %d faults, want %d:\n%s", len(got), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("fault %d:\ngot  %s\nwant %s", i, got[i], want[i])
		}
	}
}
