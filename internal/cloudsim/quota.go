package cloudsim

// Quotas are an account's. 0 is the default's.
type Quotas struct {
	Interfaces         int // per region
	Addresses          int // public ones, per region
	GroupsPerInterface int
	TagsPerResource    int
	// UnattachedIPv4 and UnattachedIPv6 are how many addresses an interface can
	// have that no instance type limits yet.
	UnattachedIPv4, UnattachedIPv6 int
}

// DefaultQuotas are those of a new account, from general knowledge (K): 5,000
// interfaces, 5 public addresses, 5 groups, 50 tags.
func DefaultQuotas() Quotas {
	return Quotas{
		Interfaces: 5000, Addresses: 5, GroupsPerInterface: 5, TagsPerResource: 50,
		UnattachedIPv4: 50, UnattachedIPv6: 50,
	}
}
