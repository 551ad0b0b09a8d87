package conf

import "regexp"

// Aliyun is what a provider of the kind aliyun is told: of Alibaba Cloud. Credentials
// are never among it: they come from the environment or are those of the RAM role of
// the instance that the controller runs on.
type Aliyun struct {
	// Region is such as cn-hangzhou; empty: the one that the controller's own
	// instance is in.
	Region string `yaml:"region"`
	// Endpoint is the ECS API's URL where it is not the region's own, and VPCEndpoint
	// that of the VPC API; empty is where Endpoint is, or the region's own.
	Endpoint    string `yaml:"endpoint"`
	VPCEndpoint string `yaml:"vpcEndpoint"`
	// Calls is how many times the calls that are taken to be allowed an account unasked
	// this one may make.
	Calls int `yaml:"calls"`
}

// aliyunSection is where Alibaba Cloud makes a network's NICs, as it is written, in its
// own words.
type aliyunSection struct {
	VSwitches       []string          `yaml:"vSwitches,required"`
	Pick            string            `yaml:"pick"`
	SecurityGroups  []string          `yaml:"securityGroups,required"`
	IPv6            bool              `yaml:"ipv6"`
	Prefixes        int               `yaml:"prefixes"`
	PublicIP        bool              `yaml:"publicIP"`
	SourceDestCheck bool              `yaml:"sourceDestCheck"`
	Movable         string            `yaml:"movable"`
	Mode            string            `yaml:"mode"`
	HaVips          []string          `yaml:"haVips"`
	Tags            map[string]string `yaml:"tags"`
}

func (s aliyunSection) cloud() cloudSection {
	return cloudSection{
		vendor: alibaba(), Subnets: s.VSwitches, Pick: s.Pick, Groups: s.SecurityGroups, IPv6: s.IPv6, Prefixes: s.Prefixes,
		PublicIP: s.PublicIP, SourceDestCheck: s.SourceDestCheck, Movable: s.Movable, Mode: s.Mode, Floating: s.HaVips, Tags: s.Tags,
	}
}

// An id is its kind, and letters and digits, of which there are 20 by now.
var (
	aliyunVSwitchID  = regexp.MustCompile(`^vsw-[0-9a-z]{8,40}$`)
	aliyunGroupID    = regexp.MustCompile(`^sg-[0-9a-z]{8,40}$`)
	aliyunHaVipID    = regexp.MustCompile(`^havip-[0-9a-z]{8,40}$`)
	aliyunInstanceID = regexp.MustCompile(`^i-[0-9a-z]{8,40}$`)
	aliyunRegion     = regexp.MustCompile(`^[a-z]{2}(-[a-z]{2,})+(-[0-9]{1,2})?$`)
	aliyunZone       = regexp.MustCompile(`^([a-z]{2}(?:-[a-z]{2,})+(?:-[0-9]{1,2})?)-?[a-z]$`)
)

// alibaba is Alibaba Cloud, with the limits of its API and bounds of what a slip of the
// keyboard can ask for. What an account and an instance type allow, it says itself.
func alibaba() vendor {
	return vendor{
		kind: KindAliyun, name: "Alibaba Cloud", subnets: "vSwitches", groups: "securityGroups", grouped: true,
		subnetID:   shape{aliyunVSwitchID, "vsw-bp1s5fnvk4gn2tws03624"},
		groupID:    shape{aliyunGroupID, "sg-bp1fg655nh68xyz9i6yw"},
		instanceID: shape{aliyunInstanceID, "i-bp1j4i2jdf3owlheb12t"},
		region:     shape{aliyunRegion, "cn-hangzhou"}, zone: shape{aliyunZone, "cn-hangzhou-h"},
		endpoint: "https://ecs.cn-hangzhou.aliyuncs.com", credentials: "the environment or the instance's RAM role",
		trunks:   true,
		floating: "haVips", floatingID: shape{aliyunHaVipID, "havip-bp1pi0c7mh4m1nqj2xr7s"},
		mtu:      8500, // of the types that carry jumbo frames
		prefixes: 10,
		// Ours are nicferry.io/nic, cluster, node and claim, with one to spare.
		tags: tagRules{most: 20, own: 5, value: 128, reserved: []string{"aliyun", "acs:"}, notInTexts: []string{"http://", "https://"}},
	}
}
