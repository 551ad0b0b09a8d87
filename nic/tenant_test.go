package nic_test

import (
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// The tenant's label is for all NICs of a container, asks for none by itself,
// and an image's says nothing about what docker run asks for.
func TestTheTenantsLabel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		labels, image map[string]string
		want          map[string]string // tenants by interface
		faults        int
	}{
		"all NICs": {
			labels: map[string]string{"nicferry.tenant": "a", "nicferry.network": "x", "nicferry.nic.eth1": "network=y"},
			want:   map[string]string{"eth0": "a", "eth1": "a"},
		},
		"no eth0 of its own": {
			labels: map[string]string{"nicferry.tenant": "a", "nicferry.nic.eth1": "network=y"},
			want:   map[string]string{"eth1": "a"},
		},
		"alone": {labels: map[string]string{"nicferry.tenant": "a"}, want: map[string]string{}},
		"the image's": {
			labels: map[string]string{"nicferry.tenant": "b", "nicferry.network": "x"},
			image:  map[string]string{"nicferry.tenant": "b"},
			want:   map[string]string{"eth0": ""},
		},
		"no name": {
			labels: map[string]string{"nicferry.tenant": "-;rm", "nicferry.network": "x"},
			want:   map[string]string{"eth0": ""}, faults: 1,
		},
	} {
		got, faults := map[string]string{}, 0
		for _, r := range nic.Requests(c.labels, c.image) {
			got[r.Interface] = r.Tenant
			faults += len(r.Faults)
		}
		if len(got) != len(c.want) || faults != c.faults {
			t.Errorf("%s: got %v with %d faults, want %v with %d", name, got, faults, c.want, c.faults)
		}
		for i, tenant := range c.want {
			if got[i] != tenant {
				t.Errorf("%s: %s is of tenant %q, want %q", name, i, got[i], tenant)
			}
		}
	}
}

// What names no tenant is the default one's, and nobody else's.
func TestANetworksTenants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenants []string
		tenant  string
		want    bool
	}{
		{nil, "", true},
		{nil, "default", true},
		{nil, "a", false},
		{[]string{"a"}, "a", true},
		{[]string{"a"}, "", false},
		{[]string{"a", "default"}, "", true},
	} {
		if got := (nic.Network{Tenants: c.tenants}).For(c.tenant); got != c.want {
			t.Errorf("a network of %q: tenant %q may use it: %v, want %v", c.tenants, c.tenant, got, c.want)
		}
	}
}
