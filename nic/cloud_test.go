package nic

import (
	"reflect"
	"testing"
)

// What a network's NICs are asked for has all of the network's words but those
// that say how a claim uses them.
func TestCloudSpec(t *testing.T) {
	t.Parallel()
	c := Cloud{
		Subnets: []string{"a", "b"}, Pick: PickOrdered, Groups: []string{"g"}, IPv6: true, Prefixes: 1, PublicIP: true, Forwards: true,
		Tags: map[string]string{"k": "v"},
	}
	s := c.Spec()
	want := CloudSpec{
		Subnets: []string{"a", "b"}, Pick: PickOrdered, Groups: []string{"g"}, IPv6: true, Prefixes: 1, PublicIP: true, Forwards: true,
		Tags: map[string]string{"k": "v"},
	}
	if !reflect.DeepEqual(s, want) || !reflect.DeepEqual(Cloud{}.Spec(), CloudSpec{}) {
		t.Errorf("%+v", s)
	}
	s.Subnets[0], s.Groups[0], s.Tags["k"] = "x", "x", "x"
	if c.Subnets[0] != "a" || c.Groups[0] != "g" || c.Tags["k"] != "v" {
		t.Errorf("a NIC's spec changes its network: %+v", c)
	}
}

func TestCloudMade(t *testing.T) {
	t.Parallel()
	c := Cloud{Subnets: []string{"a", "b"}, Groups: []string{"g"}}
	for what, s := range map[string]func(*CloudSpec){
		"open":     func(*CloudSpec) {},
		"chosen":   func(s *CloudSpec) { s.Subnets, s.Subnet, s.Zone = nil, "b", "z" },
		"tags":     func(s *CloudSpec) { s.Tags = map[string]string{"k": "v"} },
		"pick":     func(s *CloudSpec) { s.Pick = PickRandom },
		"!subnet":  func(s *CloudSpec) { s.Subnets, s.Subnet = nil, "c" },
		"!subnets": func(s *CloudSpec) { s.Subnets = []string{"a"} },
		"!groups":  func(s *CloudSpec) { s.Groups = nil },
		"!ipv6":    func(s *CloudSpec) { s.IPv6 = true },
		"!prefix":  func(s *CloudSpec) { s.Prefixes = 1 },
		"!public":  func(s *CloudSpec) { s.PublicIP = true },
		"!forward": func(s *CloudSpec) { s.Forwards = true },
	} {
		spec := c.Spec()
		s(&spec)
		if got := c.Made(spec); got == (what[0] == '!') {
			t.Errorf("%s: %v", what, got)
		}
	}
	if !(Cloud{}).Made(CloudSpec{}) {
		t.Error("where there is no cloud, NICs are not as they should be")
	}
}
