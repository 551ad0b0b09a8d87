package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

// aliyunFile is a config of one network of Alibaba Cloud, with what its section says
// besides a vSwitch and a group, and what is said behind the section.
func aliyunFile(section, behind string) []byte {
	return []byte("version: 1\nproviders: [{name: cloud, kind: aliyun}]\nnetworks:\n  - {name: vpc, provider: cloud, addressing: provider," +
		" aliyun: {vSwitches: [vsw-bp1s5fnvk4gn2tws03624], securityGroups: [sg-bp1fg655nh68xyz9i6yw]" + section + "}" + behind + "}\n")
}

func TestAliyun(t *testing.T) {
	t.Parallel()
	all := ", pick: ordered, ipv6: true, prefixes: 2, publicIP: true, sourceDestCheck: false, movable: nic, mode: dedicated, tags: {team: web}"
	for section, change := range map[string]func(c *nic.Cloud){
		"": func(*nic.Cloud) {},
		all: func(c *nic.Cloud) {
			c.Pick, c.IPv6, c.Prefixes, c.PublicIP, c.Forwards, c.Tags = nic.PickOrdered, true, 2, true, true, map[string]string{"team": "web"}
		},
		", mode: shared": func(c *nic.Cloud) { c.Shared = true },
		", haVips: [havip-bp1pi0c7mh4m1nqj2xr7s]": func(c *nic.Cloud) { c.Floating = []string{"havip-bp1pi0c7mh4m1nqj2xr7s"} },
		", mode: trunk":      func(c *nic.Cloud) { c.Trunk = true },
		", movable: address": func(c *nic.Cloud) { c.Movable = true },
		", pick: random":     func(c *nic.Cloud) { c.Pick = nic.PickRandom },
	} {
		want := nic.Cloud{Subnets: []string{"vsw-bp1s5fnvk4gn2tws03624"}, Groups: []string{"sg-bp1fg655nh68xyz9i6yw"}}
		change(&want)
		c, err := ParseController("f", aliyunFile(section, ""))
		if err != nil {
			t.Errorf("%s: %v", section, err)
			continue
		}
		if diff := cmp.Diff(want, c.Networks[0].Cloud); diff != "" || c.Networks[0].HasIPv6() != want.IPv6 {
			t.Errorf("%s: IPv6 %v, -want +got:\n%s", section, c.Networks[0].HasIPv6(), diff)
		}
	}
}

// The most that Alibaba Cloud takes is no fault, and one more is.
func TestAliyunLimits(t *testing.T) {
	t.Parallel()
	tags := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("k%d: v", i))
		}
		return ", tags: {" + strings.Join(all, ", ") + "}"
	}
	long := func(key, value int) string {
		return ", tags: {" + strings.Repeat("k", key) + ": " + strings.Repeat("v", value) + "}"
	}
	for _, c := range []struct{ good, bad, behind string }{
		{good: tags(15), bad: tags(16)},
		{good: long(128, 128), bad: long(129, 128)},
		{good: long(1, 128), bad: long(1, 129)},
		{good: ", prefixes: 10", bad: ", prefixes: 11"},
		{good: ", mode: shared", bad: ", mode: shared, publicIP: true"},
		{good: "", bad: ", movable: address", behind: ", pool: {max: 1}"},
		{good: ", mode: trunk, ipv6: true, movable: nic", bad: ", mode: trunk, movable: address"},
		{good: ", haVips: [havip-bp1pi0c7mh4m1nqj2xr7s]", bad: ", haVips: [havip-bp1pi0c7mh4m1nqj2xr7s], mode: shared"},
		{good: ", haVips: []", bad: ", haVips: [vip-1]"},
		{good: ", mode: trunk, haVips: [havip-00000001, havip-00000002, havip-00000003, havip-00000004]", bad: ", haVips: [havip-00000001, havip-00000002, havip-00000003, havip-00000004, havip-00000005]"},
		{good: ", mode: trunk", bad: ", mode: trunks", behind: ", pool: {max: 1}"},
		{good: ", mode: shared", bad: ", mode: share", behind: ", mtu: 8500"},
	} {
		if _, err := ParseController("f", aliyunFile(c.good, c.behind)); err != nil {
			t.Errorf("%.60s%s: %v", c.good, c.behind, err)
		}
		if _, err := ParseController("f", aliyunFile(c.bad, c.behind)); err == nil {
			t.Errorf("%.60s%s: no fault", c.bad, c.behind)
		}
	}
	if _, err := ParseController("f", aliyunFile("", ", mtu: 8501")); err == nil {
		t.Error("an MTU of 8501: no fault")
	}
}

func TestAliyunProvider(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]Aliyun{
		"":                                  {},
		", aliyun: {calls: 3}":              {Calls: 3},
		", aliyun: {region: cn-wulanchabu}": {Region: "cn-wulanchabu"},
		", aliyun: {region: cn-shanghai-finance-1}":                    {Region: "cn-shanghai-finance-1"},
		`, aliyun: {region: me-east-1, endpoint: "http://[::1]:4566"}`: {Region: "me-east-1", Endpoint: "http://[::1]:4566"},
		`, aliyun: {endpoint: "https://ecs-vpc.cn-hangzhou.aliyuncs.com", vpcEndpoint: "https://vpc-vpc.cn-hangzhou.aliyuncs.com"}`: {
			Endpoint: "https://ecs-vpc.cn-hangzhou.aliyuncs.com", VPCEndpoint: "https://vpc-vpc.cn-hangzhou.aliyuncs.com",
		},
	} {
		c, err := ParseController("f", []byte("version: 1\nproviders: [{name: cloud, kind: aliyun"+told+"}]\n"))
		want.Calls = max(1, want.Calls) // unless another is said
		if err != nil || *c.Providers[0].Aliyun != want {
			t.Errorf("%s: %+v, %v", told, c, err)
		}
	}
}

// A node's name is no instance's id, unless it looks like one; an id of AWS looks like
// one of Alibaba Cloud as well.
func TestAliyunInstances(t *testing.T) {
	t.Parallel()
	c := &Controller{Providers: []Provider{{Name: "here", Kind: KindLocal}, {Name: "ali", Kind: KindAliyun}, {Name: "aws", Kind: KindAWS}}}
	for node, want := range map[string]string{
		"web1":                   "map[here:web1]",
		"i-bp1j4i2jdf3owlheb12t": "map[ali:i-bp1j4i2jdf3owlheb12t here:i-bp1j4i2jdf3owlheb12t]",
		"i-0123456789abcdef0":    "map[ali:i-0123456789abcdef0 aws:i-0123456789abcdef0 here:i-0123456789abcdef0]",
	} {
		if got, ok := c.Instances(node); fmt.Sprint(got) != want || !ok {
			t.Errorf("%s: %v, %v", node, got, ok)
		}
	}
}
