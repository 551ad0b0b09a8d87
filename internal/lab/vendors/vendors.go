// Package vendors is in what one cloud differs from another for a lab that stands on
// it: words, addresses, and how its clients are told of it.
package vendors

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
)

// The calls that are called the same by all of them.
const (
	Create = "CreateNetworkInterface"
	Attach = "AttachNetworkInterface"
	Modify = "ModifyNetworkInterfaceAttribute"
	Detach = "DetachNetworkInterface"
	Delete = "DeleteNetworkInterface"

	Assign   = "AssignPrivateIpAddresses"
	Unassign = "UnassignPrivateIpAddresses"
)

// A Vendor is a cloud's.
type Vendor struct {
	// API is that of a site; Name is what people call it.
	API, Name string
	// Kind is that of its providers in the controller's config, and the name of their
	// sections; Subnets and Groups are what these are called in a network's.
	Kind, Subnets, Groups string
	// Region is the one that a site has.
	Region string
	// Type is that of instances with room for three interfaces beside their own, and
	// BigType of such with room for seven.
	Type, BigType string
	// Maker is what instances are known by.
	Maker string
	// Metadata is the address at which instances have theirs.
	Metadata string
	// AskRole is a shell script that prints the name of the role whose keys the
	// metadata would give out, or nothing.
	AskRole string
	// Policies is the folder of the policies that we ship, in the examples, and
	// PolicyVersion the version of the language that they are in.
	Policies, PolicyVersion string
	// MTU is that of interfaces.
	MTU int
	// Allocate, Associate, Disassociate and Release are the calls about public addresses.
	Allocate, Associate, Disassociate, Release string
	// Throttled is the code of a call that came too soon.
	Throttled string
	// Steps says that an address which moves by itself is first unassigned: elsewhere
	// Assign takes it from where it is. There it comes with its first interface, and
	// elsewhere by an Assign of its own.
	Steps bool

	routers func(netip.Prefix) []netip.Prefix
	keys    func(site.About) []string
}

// Routers are the addresses of a subnet's router, with the prefix of the wire.
func (v Vendor) Routers(subnet site.Subnet) []netip.Prefix {
	return append(v.routers(subnet.CIDR), v.routers(subnet.CIDR6)...)
}

// Gateway is the first of the IPv4 addresses of a subnet's router.
func (v Vendor) Gateway(subnet site.Subnet) netip.Addr { return v.routers(subnet.CIDR)[0].Addr() }

// Keys are the environment of a client that signs with the key that everybody may
// sign with, and nothing of the user's own.
func (v Vendor) Keys(a site.About) []string { return v.keys(a) }

// Provider is an item of the controller's list of providers; more is what its section
// has besides.
func (v Vendor) Provider(name, region, endpoint string, more ...string) string {
	section := strings.Join(append([]string{"region: " + region, fmt.Sprintf("endpoint: %q", endpoint)}, more...), ", ")
	return fmt.Sprintf("  - {name: %s, kind: %s, %[2]s: {%[3]s}}\n", name, v.Kind, section)
}

// A Network is one of the controller's list, in a cloud.
type Network struct {
	Name, Provider  string
	Subnets, Groups []string
	// Section is what the cloud's section has besides, and More the network.
	Section, More []string
}

// Network is an item of the controller's list of networks.
func (v Vendor) Network(n Network) string {
	section := append([]string{
		fmt.Sprintf("%s: [%s]", v.Subnets, strings.Join(n.Subnets, ", ")), fmt.Sprintf("%s: [%s]", v.Groups, strings.Join(n.Groups, ", ")),
	}, n.Section...)
	fields := append([]string{
		"name: " + n.Name, "provider: " + n.Provider, "addressing: provider", fmt.Sprintf("%s: {%s}", v.Kind, strings.Join(section, ", ")),
	}, n.More...)
	return "  - {" + strings.Join(fields, ", ") + "}\n"
}

// Of is that of a site's API; empty is EC2.
func Of(api string) (Vendor, error) {
	switch api {
	case "", site.EC2:
		return EC2(), nil
	case site.ECS:
		return ECS(), nil
	}
	return Vendor{}, fmt.Errorf("no cloud %q; want %s or %s", api, site.EC2, site.ECS)
}

// EC2 is Amazon's.
func EC2() Vendor {
	const metadata = "169.254.169.254"
	return Vendor{
		API: site.EC2, Name: "EC2", Kind: "aws", Subnets: "subnets", Groups: "groups", Region: "eu-central-1", Type: "m5.xlarge", BigType: "m5.4xlarge",
		Maker: "Amazon EC2", Metadata: metadata, Policies: "aws/iam", PolicyVersion: "2012-10-17", MTU: 9001, Throttled: "RequestLimitExceeded",
		Allocate: "AllocateAddress", Associate: "AssociateAddress", Disassociate: "DisassociateAddress", Release: "ReleaseAddress",
		AskRole: askRole(metadata, "X-aws-ec2-metadata-token", "/latest/meta-data/iam/security-credentials/"),
		routers: func(p netip.Prefix) []netip.Prefix {
			first := netip.PrefixFrom(p.Masked().Addr().Next(), p.Bits())
			if p.Addr().Is4() {
				return []netip.Prefix{first}
			}
			return []netip.Prefix{first, netip.MustParsePrefix("fe80:ec2::1/64")} // of every subnet
		},
		keys: func(a site.About) []string {
			return []string{
				"AWS_ACCESS_KEY_ID=" + a.AccessKey, "AWS_SECRET_ACCESS_KEY=" + a.SecretKey, "AWS_SESSION_TOKEN=",
				"AWS_PROFILE=", "AWS_DEFAULT_PROFILE=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
				"AWS_EC2_METADATA_DISABLED=true",
			}
		},
	}
}

// ECS is Alibaba Cloud's.
func ECS() Vendor {
	const metadata = "100.100.100.200"
	return Vendor{
		API: site.ECS, Name: "ECS", Kind: "aliyun", Subnets: "vSwitches", Groups: "securityGroups", Region: "cn-hangzhou", Type: "ecs.g7.xlarge", BigType: "ecs.g7.4xlarge",
		Maker: "Alibaba Cloud", Metadata: metadata, Policies: "aliyun/ram", PolicyVersion: "1", MTU: 1500, Throttled: "Throttling.User", Steps: true,
		Allocate: "AllocateEipAddress", Associate: "AssociateEipAddress", Disassociate: "UnassociateEipAddress", Release: "ReleaseEipAddress",
		AskRole: askRole(metadata, "X-aliyun-ecs-metadata-token", "/latest/meta-data/ram/security-credentials/"),
		routers: func(p netip.Prefix) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(lastButTwo(p), p.Bits())} },
		keys: func(a site.About) []string {
			return []string{
				"ALIBABA_CLOUD_ACCESS_KEY_ID=" + a.AccessKey, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + a.SecretKey, "ALIBABA_CLOUD_SECURITY_TOKEN=",
				"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
			}
		},
	}
}

// askRole asks by the protocol with tokens, by what a container's image has.
func askRole(addr, token, path string) string {
	return `ask() {
	printf '%s HTTP/1.0\r\nHost: ` + addr + `\r\n%s\r\nContent-Length: 0\r\n\r\n' "$1" "$2" |
		busybox timeout 15 busybox nc -w 5 ` + addr + ` 80 2>/dev/null | busybox sed -n '$p'
}
token=$(ask "PUT /latest/api/token" "` + token + `-ttl-seconds: 60")
[ -z "$token" ] || ask "GET ` + path + `" "` + token + `: $token"`
}

// lastButTwo is the address of a prefix's end where a vSwitch has its router.
func lastButTwo(p netip.Prefix) netip.Addr {
	all := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(all); bit++ {
		all[bit/8] |= 0x80 >> (bit % 8)
	}
	last := len(all) - 2
	binary.BigEndian.PutUint16(all[last:], binary.BigEndian.Uint16(all[last:])-2)
	addr, _ := netip.AddrFromSlice(all)
	return addr
}
