package conf

import "regexp"

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

func (s awsSection) cloud() cloudSection {
	return cloudSection{
		vendor: amazon(), Subnets: s.Subnets, Pick: s.Pick, Groups: s.Groups, IPv6: s.IPv6, Prefixes: s.Prefixes,
		PublicIP: s.PublicIP, SourceDestCheck: s.SourceDestCheck, Movable: s.Movable, Mode: s.Mode, Tags: s.Tags,
	}
}

// An id is its kind, and 8 or 17 hexadecimal digits.
var (
	awsSubnetID   = regexp.MustCompile(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`)
	awsGroupID    = regexp.MustCompile(`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`)
	awsInstanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)
	awsRegion     = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	awsZone       = regexp.MustCompile(`^([a-z]{2,4}(-[a-z]+)+-[0-9]{1,2})[a-z]$`)
)

// amazon is AWS, with its limits that no account can have raised and bounds of what a
// slip of the keyboard can ask for. What an account and an instance type allow, AWS
// itself says.
func amazon() vendor {
	return vendor{
		kind: KindAWS, name: "AWS", subnets: "subnets", groups: "groups",
		subnetID:   shape{awsSubnetID, "subnet-0123456789abcdef0"},
		groupID:    shape{awsGroupID, "sg-0123456789abcdef0"},
		instanceID: shape{awsInstanceID, "i-0123456789abcdef0"},
		region:     shape{awsRegion, "eu-central-1"}, zone: shape{awsZone, "eu-central-1a"},
		endpoint: "https://ec2.eu-central-1.amazonaws.com", credentials: "the standard chain",
		mtu: 9001, prefixes: 256,
		// Ours are nicferry.io/nic, cluster, node and claim, and Name.
		tags: tagRules{most: 50, own: 5, value: 256, reserved: []string{"aws:"}},
	}
}
