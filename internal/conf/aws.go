package conf

import "github.com/nicferry/nicferry/nic"

// AWS is what a provider of the kind aws is told. Credentials are never among
// it: the standard chain finds them, be it in the environment, in a profile or
// in the role of the instance that the controller runs on.
type AWS struct {
	// Region is such as eu-central-1; empty: the one that the controller's own
	// instance is in.
	Region string `yaml:"region"`
	// Endpoint is the EC2 API's URL where it is not the region's own.
	Endpoint string `yaml:"endpoint"`
	// Profile is one of the shared config files; empty is what the environment
	// says.
	Profile string `yaml:"profile"`
	// Calls is how many times the calls that EC2 allows an account unasked this one
	// may make.
	Calls int `yaml:"calls"`
}

// How a network of AWS picks a subnet, as it is written.
const (
	pickMostFree = "most-free"
	pickOrdered  = "ordered"
	pickRandom   = "random"
)

// What of a network of AWS goes along when a container moves.
const (
	movesNIC     = "nic"
	movesAddress = "address"
)

// How many containers a NIC of AWS is for.
const (
	modeDedicated = "dedicated"
	modeShared    = "shared"
)

// awsSection is where AWS makes a network's NICs, as it is written.
type awsSection struct {
	Subnets         []string          `yaml:"subnets,required"`
	Pick            string            `yaml:"pick"`
	Groups          []string          `yaml:"groups"`
	IPv6            bool              `yaml:"ipv6"`
	Prefixes        int               `yaml:"prefixes"`
	PublicIP        bool              `yaml:"publicIP"`
	SourceDestCheck bool              `yaml:"sourceDestCheck"`
	Movable         string            `yaml:"movable"`
	Mode            string            `yaml:"mode"`
	Tags            map[string]string `yaml:"tags"`
}

// toNIC gives a checked section in the program's words.
func (s awsSection) toNIC() nic.Cloud {
	pick := nic.SubnetPick(s.Pick)
	if s.Pick == pickMostFree {
		pick = nic.PickMostFree
	}
	return nic.Cloud{
		Subnets: s.Subnets, Pick: pick, Groups: s.Groups, IPv6: s.IPv6, Prefixes: s.Prefixes, PublicIP: s.PublicIP,
		Forwards: !s.SourceDestCheck, Movable: s.Movable == movesAddress, Shared: s.Mode == modeShared, Tags: s.Tags,
	}
}
