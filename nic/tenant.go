package nic

import "slices"

// DefaultTenant is whose everything is that names no tenant. It is always
// there, whether the config lists it or not.
const DefaultTenant = "default"

// A Tenant is who may use which networks, and how much of them.
type Tenant struct {
	Name  string `json:"name"`
	Quota Quota  `json:"quota,omitzero"`
}

// A Quota is how much a tenant may have at a time; 0 is no bound.
type Quota struct {
	// NICs are those that its claims hold.
	NICs int `json:"nics,omitempty"`
	// Addresses are those that are reserved for its claims, or cool down after
	// them; what a DHCP server or a provider gives does not count.
	Addresses int `json:"addresses,omitempty"`
	// Requests are the calls per second that its nodes may make together.
	Requests int `json:"requests,omitempty"`
}

// TenantOf reads the tenant of a record: what was written before there were
// tenants is the default one's.
func TenantOf(recorded string) string {
	if recorded == "" {
		return DefaultTenant
	}
	return recorded
}

// For says whether the tenant may use the network. One that names no tenants is
// the default tenant's.
func (n Network) For(tenant string) bool {
	if len(n.Tenants) == 0 {
		return TenantOf(tenant) == DefaultTenant
	}
	return slices.Contains(n.Tenants, TenantOf(tenant))
}
