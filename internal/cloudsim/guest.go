package cloudsim

// A Guest is what an instance's metadata service can tell of it.
type Guest struct {
	Instance Instance
	// Interfaces are those in the machine, by card and index.
	Interfaces []GuestInterface
	Region     string
	ZoneID     string
	Account    string
	VPC        VPC
}

// A GuestInterface is one of them, with what surrounds it.
type GuestInterface struct {
	Interface Interface
	Subnet    Subnet
	VPC       VPC
	Groups    []SecurityGroup
	// Cards is how many network cards the instance's type has.
	Cards int
}

// Guest is what the metadata of an instance say now. It passes no gate, but the
// lag of metadata and the faults on API "Metadata" count: stale-describe, slow,
// and ServerError as an error.
func (c *Cloud) Guest(instance string) (Guest, error) { return Guest{}, errNotBuilt }
