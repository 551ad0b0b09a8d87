package conf

import (
	"maps"
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// tenant is a tenant as it is written.
type tenant struct {
	Name  string `yaml:"name,required"`
	Quota quota  `yaml:"quota"`
}

type quota struct {
	NICs      int `yaml:"nics"`
	Addresses int `yaml:"addresses"`
	Requests  int `yaml:"requests"`
}

// toNIC gives a checked tenant in the program's words.
func (t tenant) toNIC() nic.Tenant { return nic.Tenant{Name: t.Name, Quota: nic.Quota(t.Quota)} }

// TenantsOf are the tenants that a node may serve; containers that name none
// are of the first. A node that says nothing serves the default tenant.
func (c *Controller) TenantsOf(node string) []string {
	if tenants := c.Nodes[node].Tenants; len(tenants) > 0 {
		return tenants
	}
	return []string{nic.DefaultTenant}
}

// maxQuota is more than any tenant can have; what is above is a slip.
const maxQuota = 1 << 24

func (d *doc) checkTenants(f *controllerFile) {
	names := d.uniqueNames("tenant")
	known := tenantIndex{names: []string{nic.DefaultTenant}, unsure: d.bad["tenants"], there: map[string]bool{nic.DefaultTenant: true}}
	for i, t := range f.Tenants {
		path := item("tenants", i)
		at := under(path, "name")
		if d.bad[path] || !d.good(at) {
			known.unsure = true
			continue
		}
		names(at, t.Name)
		known.add(t.Name)
		for _, q := range []struct {
			name  string
			value int
		}{{"nics", t.Quota.NICs}, {"addresses", t.Quota.Addresses}, {"requests", t.Quota.Requests}} {
			at := under(under(path, "quota"), q.name)
			if d.good(at) && (q.value < 1 || q.value > maxQuota) {
				d.fault(at, "%d; want 1 to %d, or leave it out for no bound", q.value, maxQuota)
			}
		}
	}
	for i, n := range f.Networks {
		d.checkTenantNames(under(item("networks", i), "tenants"), n.Tenants, known)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Nodes)) {
		d.checkTenantNames(under(under("nodes", name), "tenants"), f.Nodes[name].Tenants, known)
	}
}

// A tenantIndex is all the tenants that a list may name.
type tenantIndex struct {
	there map[string]bool
	names []string // some of them, to suggest
	// unsure: a tenant's name could not be read, and may be the one meant.
	unsure bool
}

func (x *tenantIndex) add(name string) {
	x.there[name] = true
	if len(x.names) < maxSuggested {
		x.names = append(x.names, name)
	}
}

// checkTenantNames checks a list of who may use something.
func (d *doc) checkTenantNames(path string, names []string, known tenantIndex) {
	if !d.good(path) {
		return
	}
	if len(names) == 0 {
		d.fault(path, "is empty; leave it out for tenant %s alone", nic.DefaultTenant)
	}
	seen := map[string]bool{}
	for i, name := range names {
		at := item(path, i)
		switch {
		case d.bad[at]:
		case seen[name]:
			d.fault(at, "tenant %s is named twice", quote(name))
		case !known.unsure && !known.there[name]:
			d.fault(at, "no tenant %s; %s", quote(name), didYouMean(name, known.names))
		}
		seen[name] = true
	}
}
