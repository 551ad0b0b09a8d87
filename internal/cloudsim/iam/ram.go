package iam

import (
	"net/netip"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// RAM is Alibaba Cloud's dialect, as far as it is about ECS and VPC. From the
// vendor's pages are the version, the elements of a statement, the operators, that
// actions have no case, and the ARN of an interface; what is general knowledge
// stands in the tables below.
func RAM() Dialect {
	return Dialect{
		version: "1", prefix: "acs:", parts: 5, operator: ramOperator, hasKey: ramHasKey,
		anAction: "ecs:DescribeInstances", anARN: "acs:ecs:*:*:eni/*", aKey: "acs:RequestTag/team",
		action: ramAction, about: ramAbout, arn: (*Account).ramARN, keys: (*Account).ramKeys,
		who: "acs:ram::", assumed: "acs:ram::",
	}
}

// ramTypes are the services and the words for what policies are about.
func ramTypes() map[string][2]string {
	return map[string][2]string{
		"network-interface": {"ecs", "eni"},
		"instance":          {"ecs", "instance"},
		"security-group":    {"ecs", "securitygroup"},
		"subnet":            {"vpc", "vswitch"},
		"vpc":               {"vpc", "vpc"},
		"elastic-ip":        {"vpc", "eip"},
		"havip":             {"vpc", "havip"},
	}
}

// ramLists are what actions that name no resource are about, where that is all of a
// kind and not all there is.
func ramLists() map[string]string {
	return map[string]string{
		"DescribeNetworkInterfaces":         "network-interface",
		"DescribeNetworkInterfaceAttribute": "network-interface",
		"DescribeInstances":                 "instance",
		"DescribeSecurityGroups":            "security-group",
		"DescribeVpcs":                      "vpc",
		"DescribeVSwitches":                 "subnet",
		"DescribeEipAddresses":              "elastic-ip",
		"DescribeHaVips":                    "havip",
	}
}

// ramAction has a call's service before its name. What is made with tags needs no
// permission besides.
func ramAction(call cloudsim.Call) string {
	if call.Creating != "" {
		return ""
	}
	if strings.Contains(call.Action, "Eip") || strings.Contains(call.Action, "HaVip") || ramTypes()[ramLists()[call.Action]][0] == "vpc" {
		return "vpc:" + call.Action
	}
	return "ecs:" + call.Action
}

func ramAbout(call cloudsim.Call, on []cloudsim.Resource) []cloudsim.Resource {
	if kind := ramLists()[call.Action]; kind != "" && len(on) == 1 && on[0].Type == "*" {
		return []cloudsim.Resource{{Type: kind}}
	}
	return on
}

// ramARN is a resource's; what is to be made, and all of a kind, has no id.
func (a *Account) ramARN(r cloudsim.Resource) string {
	kind, known := ramTypes()[r.Type]
	if !known {
		return "*"
	}
	return "acs:" + kind[0] + ":" + a.Region + ":" + a.ID + ":" + kind[1] + "/" + orAny(r.ID)
}

// The keys that conditions can ask for. Those that end in / are followed by a tag's
// key; the services' own mean the tags that there are, or that are to be.
const (
	ramSource = "acs:SourceIp"
	ramNow    = "acs:CurrentTime"
)

func ramTagKeys() (has, wants []string) {
	return []string{"acs:ResourceTag/", "ecs:tag/", "vpc:tag/"}, []string{"acs:RequestTag/", "ecs:tag/", "vpc:tag/"}
}

func ramHasKey(key string) bool {
	has, wants := ramTagKeys()
	for _, known := range append(has, wants...) {
		if n := len(known); len(key) > n && strings.EqualFold(key[:n], known) {
			return true
		}
	}
	return strings.EqualFold(key, ramSource) || strings.EqualFold(key, ramNow)
}

func (a *Account) ramKeys(call cloudsim.Call, r cloudsim.Resource) map[string][]string {
	keys := map[string][]string{ramNow: {time.Now().UTC().Format(time.RFC3339)}}
	if call.From.IsValid() {
		keys[ramSource] = []string{call.From.Unmap().WithZone("").String()}
	}
	has, wants := ramTagKeys()
	for _, prefix := range has {
		for key, value := range r.Tags {
			keys[prefix+key] = []string{value}
		}
	}
	for _, prefix := range wants {
		for key, value := range r.Wanted {
			keys[prefix+key] = append(keys[prefix+key], value)
		}
	}
	return keys
}

// ramOperator knows those of texts, truth values, addresses and times; false for others.
func ramOperator(name string) (o operator, ok bool) {
	if o.ofTexts(name) {
		return o, true
	}
	switch name {
	case "IpAddress", "NotIpAddress":
		o.same, o.not = inNetwork, name == "NotIpAddress"
		o.form = func(value string) bool { _, err := network(value); return err == nil }
		return o, true
	}
	compare := map[string]func(order int) bool{
		"DateEquals":            func(order int) bool { return order == 0 },
		"DateNotEquals":         func(order int) bool { return order == 0 },
		"DateLessThan":          func(order int) bool { return order < 0 },
		"DateLessThanEquals":    func(order int) bool { return order <= 0 },
		"DateGreaterThan":       func(order int) bool { return order > 0 },
		"DateGreaterThanEquals": func(order int) bool { return order >= 0 },
	}[name]
	if compare == nil {
		return o, false
	}
	o.not = name == "DateNotEquals"
	o.form = func(value string) bool { _, err := time.Parse(time.RFC3339, value); return err == nil }
	o.same = func(want, have string) bool {
		limit, err := time.Parse(time.RFC3339, want)
		at, wrong := time.Parse(time.RFC3339, have)
		return err == nil && wrong == nil && compare(at.Compare(limit))
	}
	return o, true
}

// network is an address or a block of them.
func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func inNetwork(want, have string) bool {
	block, err := network(want)
	a, wrong := netip.ParseAddr(have)
	return err == nil && wrong == nil && block.Contains(a)
}
