package conf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

// awsFile is a config of one network of AWS, with what the section says.
func awsFile(section string) []byte {
	return []byte("version: 1\nproviders: [{name: cloud, kind: aws}]\nnetworks:\n  - {name: vpc, provider: cloud, addressing: provider, aws: " + section + "}\n")
}

func TestAWS(t *testing.T) {
	t.Parallel()
	const one = "subnet-0123456789abcdef0"
	for section, want := range map[string]nic.Cloud{
		"{subnets: [" + one + "]}": {Subnets: []string{one}},
		"{subnets: [subnet-01234567, " + one + "], pick: ordered, groups: [sg-01234567], ipv6: true, prefixes: 2, publicIP: true," +
			" sourceDestCheck: false, movable: nic, mode: dedicated, tags: {team: web, 'cost centre': ''}}": {
			Subnets: []string{"subnet-01234567", one}, Pick: nic.PickOrdered, Groups: []string{"sg-01234567"}, IPv6: true, Prefixes: 2,
			PublicIP: true, Forwards: true, Tags: map[string]string{"team": "web", "cost centre": ""},
		},
		"{subnets: [" + one + "], mode: shared}":    {Subnets: []string{one}, Shared: true},
		"{subnets: [" + one + "], pick: random}":    {Subnets: []string{one}, Pick: nic.PickRandom},
		"{subnets: [" + one + "], pick: most-free}": {Subnets: []string{one}, Pick: nic.PickMostFree},
	} {
		c, err := ParseController("f", awsFile(section))
		if err != nil {
			t.Errorf("%s: %v", section, err)
			continue
		}
		if diff := cmp.Diff(want, c.Networks[0].Cloud); diff != "" || c.Networks[0].HasIPv6() != want.IPv6 {
			t.Errorf("%s: IPv6 %v, -want +got:\n%s", section, c.Networks[0].HasIPv6(), diff)
		}
	}
}

// The most that AWS takes is no fault, and one more is.
func TestAWSLimits(t *testing.T) {
	t.Parallel()
	many := func(n int, f func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, f(i))
		}
		return strings.Join(all, ", ")
	}
	groups := func(n int) string {
		return "groups: [" + many(n, func(i int) string { return fmt.Sprintf("sg-%08x", i) }) + "]"
	}
	tags := func(n int) string {
		return "tags: {" + many(n, func(i int) string { return fmt.Sprintf("k%d: v", i) }) + "}"
	}
	for good, bad := range map[string]string{
		groups(16):                               groups(17),
		tags(45):                                 tags(46),
		"prefixes: 256":                          "prefixes: 257",
		"mode: shared":                           "mode: shared, prefixes: 1",
		"mode: dedicated":                        "mode: trunk",
		"mode: shared, ipv6: false":              "mode: shared, ipv6: true",
		"mode: shared}, pool: {min: 1, idle: 1m": "mode: shared}, pool: {min: -1",
		"mode: dedicated}, pool: {max: 1":        "mode: shard}, pool: {max: 1",
		"tags: {" + strings.Repeat("ä", 128) + ": " + strings.Repeat("ö", 256) + "}": "tags: {" + strings.Repeat("ä", 129) + ": " + strings.Repeat("ö", 257) + "}",
	} {
		if _, err := ParseController("f", awsFile("{subnets: [subnet-01234567], "+good+"}")); err != nil {
			t.Errorf("%.60s: %v", good, err)
		}
		if _, err := ParseController("f", awsFile("{subnets: [subnet-01234567], "+bad+"}")); err == nil {
			t.Errorf("%.60s: no fault", bad)
		}
	}
}

func TestAWSProvider(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]AWS{
		"":                  {},
		", aws: {calls: 3}": {Calls: 3},
		", aws: {region: us-gov-west-1, profile: ops.team}":                                    {Region: "us-gov-west-1", Profile: "ops.team"},
		`, aws: {endpoint: "http://[::1]:4566"}`:                                               {Endpoint: "http://[::1]:4566"},
		`, aws: {endpoint: "http://localhost:4566/ec2"}`:                                       {Endpoint: "http://localhost:4566/ec2"},
		`, aws: {region: ap-southeast-5, endpoint: "https://ec2.example.internal"}`:            {Region: "ap-southeast-5", Endpoint: "https://ec2.example.internal"},
		`, aws: {region: eusc-de-east-1, endpoint: "https://ec2.eusc-de-east-1.amazonaws.eu"}`: {Region: "eusc-de-east-1", Endpoint: "https://ec2.eusc-de-east-1.amazonaws.eu"},
	} {
		c, err := ParseController("f", []byte("version: 1\nproviders: [{name: cloud, kind: aws"+told+"}]\n"))
		want.Calls = max(1, want.Calls) // unless another is said
		if err != nil || *c.Providers[0].AWS != want {
			t.Errorf("%s: %+v, %v", told, c, err)
		}
	}
}

// A node's name is no instance's id, unless it looks like one.
func TestAWSInstances(t *testing.T) {
	t.Parallel()
	c := &Controller{Providers: []Provider{{Name: "here", Kind: KindLocal}, {Name: "cloud", Kind: KindAWS}}}
	for node, want := range map[string]string{
		"web1":                "map[here:web1]",
		"i-0123456789abcdef0": "map[cloud:i-0123456789abcdef0 here:i-0123456789abcdef0]",
		"i-0123":              "map[here:i-0123]",
	} {
		if got, ok := c.Instances(node); fmt.Sprint(got) != want || !ok {
			t.Errorf("%s: %v, %v", node, got, ok)
		}
	}
}
