package cloudsim

// Quotas are an account's. 0 is the default's.
type Quotas struct {
	Interfaces         int // per region
	Addresses          int // public ones, per region
	GroupsPerInterface int
	TagsPerResource    int
	// InterfacesPerGroup is how many can have one security group; 0 is any number.
	InterfacesPerGroup int
	// HaVips is per region, HaVipMembers for each, HaVipsPerInstance for each of an
	// instance and an interface.
	HaVips, HaVipMembers, HaVipsPerInstance int
	// UnattachedIPv4 and UnattachedIPv6 are how many addresses an interface can
	// have that no instance type limits yet.
	UnattachedIPv4, UnattachedIPv6 int
}

// DefaultQuotas are those of a new account, from general knowledge (K): 5,000
// interfaces, 5 public addresses, 5 groups, 50 tags. Of floating addresses, which Alibaba
// Cloud alone has, its guide says 10 members and 5 of them per instance (D), and the
// reference of AssociateHaVip 2 members (D); 50 per region is general knowledge.
func DefaultQuotas() Quotas {
	return Quotas{
		Interfaces: 5000, Addresses: 5, GroupsPerInterface: 5, TagsPerResource: 50,
		UnattachedIPv4: 50, UnattachedIPv6: 50,
		HaVips: 50, HaVipMembers: 10, HaVipsPerInstance: 5,
	}
}
