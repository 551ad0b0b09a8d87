package conf

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nicferry/nicferry/nic"
)

// Bounds that are the same in every cloud.
const (
	maxGroups    = 16  // of a NIC, where the account's quota is raised
	maxTagKey    = 128 // characters
	maxProfile   = 128
	ownTagPrefix = "nicferry.io/"
	maxCalls     = 1000 // of which none is throttled, as by an API of one's own
)

// checkAWSProvider checks what a provider of the kind aws is told.
func (d *doc) checkAWSProvider(path string, a AWS) {
	d.checkRegion(under(path, "region"), amazon(), a.Region)
	d.checkEndpoint(under(path, "endpoint"), amazon(), a.Endpoint)
	if at := under(path, "profile"); d.good(at) {
		if a.Profile == "" || len(a.Profile) > maxProfile || strings.ContainsFunc(a.Profile, notGraphic) || strings.ContainsAny(a.Profile, "[]") {
			d.fault(at, "%s is no name of a profile", quote(a.Profile))
		}
	}
	d.checkCalls(under(path, "calls"), a.Calls)
}

// checkAliyunProvider checks what a provider of the kind aliyun is told.
func (d *doc) checkAliyunProvider(path string, a Aliyun) {
	d.checkRegion(under(path, "region"), alibaba(), a.Region)
	d.checkEndpoint(under(path, "endpoint"), alibaba(), a.Endpoint)
	vpc := alibaba()
	vpc.endpoint = "https://vpc.cn-hangzhou.aliyuncs.com"
	d.checkEndpoint(under(path, "vpcEndpoint"), vpc, a.VPCEndpoint)
	d.checkCalls(under(path, "calls"), a.Calls)
}

func (d *doc) checkCalls(at string, calls int) {
	if d.good(at) && (calls < 1 || calls > maxCalls) {
		d.fault(at, "%d; want 1 to %d", calls, maxCalls)
	}
}

func (d *doc) checkRegion(at string, v vendor, name string) {
	switch m := v.zone.FindStringSubmatch(name); {
	case !d.good(at), v.region.MatchString(name):
	case m != nil:
		d.fault(at, "%s is a zone; its region is %s", quote(name), m[1])
	default:
		d.fault(at, "%s is no region; want one such as %s", quote(name), v.region.example)
	}
}

func (d *doc) checkEndpoint(at string, v vendor, endpoint string) {
	if d.good(at) {
		d.faultErr(at, v.checkEndpoint(endpoint))
	}
}

// checkEndpoint wants a URL under which the cloud's API is served. Without TLS only
// on this machine: who can read along can use what is signed.
func (v vendor) checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(endpoint, notGraphic) {
		return fmt.Errorf("%s is no URL of an API; want one such as %s", quote(endpoint), v.endpoint)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := err == nil && addr.IsLoopback() || u.Hostname() == "localhost"
	switch {
	case u.User != nil:
		return errors.New("has a user in it, which would be seen in logs; credentials come from " + v.credentials)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s; want no ? and no # in it", quote(endpoint))
	case u.Scheme == "http" && !local:
		return fmt.Errorf("%s goes over the network without TLS; want https://, or http:// on this machine alone", quote(endpoint))
	}
	return nil
}

// checkClouds wants the section of a cloud of networks of that cloud, and of no others.
func (d *doc) checkClouds(path string, n network, p *Provider) {
	for _, v := range vendors() {
		at := under(path, v.kind)
		mine := p != nil && p.Kind == v.kind
		switch {
		case p != nil && !mine && d.given(at):
			d.fault(at, "provider %s is of kind %s; %s is for a provider of kind %s", quote(p.Name), p.Kind, v.kind, v.kind)
		case mine && !d.given(at):
			d.fault(path, "provider %s makes its NICs in %s: want %s", quote(p.Name), v.name, v.kind)
		}
		for _, other := range []string{"veth", "macvlan", "port"} {
			if at := under(path, other); mine && d.given(at) {
				d.fault(at, "provider %s makes its NICs in %s: want %s instead", quote(p.Name), v.name, v.kind)
			}
		}
		if mine {
			d.checkCloudNetwork(path, n, v)
		}
	}
	for _, s := range n.clouds() {
		if at := under(path, s.kind); !d.bad[at] {
			d.checkCloud(at, s)
		}
	}
}

// checkCloudNetwork checks what a network of a cloud says outside its section.
func (d *doc) checkCloudNetwork(path string, n network, v vendor) {
	if at := under(path, "addressing"); d.good(at) && (n.Addressing == string(nic.AddrDHCP) || n.Addressing == string(nic.AddrIPAM)) {
		d.fault(at, "%s gives the addresses: want %s; a container asks for a certain one by the label %s", v.name, nic.AddrProvider, nic.LabelIP)
	}
	if n.MTU > v.mtu && n.MTU <= maxMTU {
		d.fault(under(path, "mtu"), "%d; %s carries %d at most", n.MTU, v.name, v.mtu)
	}
	if at := under(path, "subnets"); d.good(at) && len(n.Subnets) > 0 {
		d.fault(at, "%s says the prefixes and gateways of its subnets itself: leave it out, and name them in %s: {%s: …}", v.name, v.kind, v.subnets)
	}
	for _, s := range n.clouds() {
		with := s.oneAddress()
		if at := under(path, "pool"); s.kind == v.kind && s.Mode != modeShared && with != "" && n.Pool != nil && max(n.Pool.Min, n.Pool.Max) > 0 && !d.bad[at] {
			d.fault(at, "with %s nothing is kept in reserve: leave it out", with)
		}
	}
	if at := under(path, "ipv6"); n.IPv6 != "" && d.good(at) {
		d.fault(at, "%s gives the addresses; want %s: {ipv6: true} instead", v.name, v.kind)
	}
}

// checkCloud checks where a cloud makes a network's NICs.
func (d *doc) checkCloud(path string, s cloudSection) {
	subnetsAt, groupsAt := under(path, s.subnets), under(path, s.groups)
	if d.good(subnetsAt) && len(s.Subnets) == 0 {
		d.fault(subnetsAt, "want at least one subnet")
	}
	if s.grouped && d.good(groupsAt) && len(s.Groups) == 0 {
		d.fault(groupsAt, "want at least one: %s puts no NIC into a group by itself", s.name)
	}
	d.checkIDs(subnetsAt, s.Subnets, s.vendor, s.subnetID)
	d.checkIDs(groupsAt, s.Groups, s.vendor, s.groupID)
	if len(s.Groups) > maxGroups {
		d.fault(groupsAt, "%d groups; %s allows a NIC %d at most, and that only where the account's quota is raised", len(s.Groups), s.name, maxGroups)
	}
	if s.Prefixes < 0 || s.Prefixes > s.prefixes {
		d.fault(under(path, "prefixes"), "%d; want 0 to %d", s.Prefixes, s.prefixes)
	}
	d.checkOneOf(under(path, "pick"), s.Pick, pickMostFree, pickOrdered, pickRandom)
	d.checkOneOf(under(path, "movable"), s.Movable, movesNIC, movesAddress)
	d.checkMode(path, s)
	d.checkFloating(path, s)
	if with := s.oneAddress(); with != "" {
		if s.Prefixes > 0 {
			d.fault(under(path, "prefixes"), "%d; with %s each container gets one address of the NIC: want 0", s.Prefixes, with)
		}
		if s.PublicIP {
			d.fault(under(path, "publicIP"), "is not built yet for %s; want false", with)
		}
		if s.IPv6 {
			d.fault(under(path, "ipv6"), "is not built yet for %s, whose containers get one IPv4 address each; want false", with)
		}
	}
	if at := under(path, "tags"); !d.bad[at] {
		d.checkTags(at, s.vendor, s.Tags)
	}
}

// checkMode checks how many containers a NIC is for, and on what it is.
func (d *doc) checkMode(path string, s cloudSection) {
	modes := []string{modeDedicated, modeShared}
	if s.trunks {
		modes = append(modes, modeTrunk)
	}
	d.checkOneOf(under(path, "mode"), s.Mode, modes...)
	if at := under(path, "movable"); s.Mode == modeTrunk && s.Movable == movesAddress && d.good(at) {
		d.fault(at, "is not built yet for mode %s, whose NICs go along as a whole; want %s", modeTrunk, movesNIC)
	}
}

// maxFloating is how many a NIC may have: a tag of it has their ids.
const maxFloating = 4

// checkFloating checks which addresses a network's NICs may have by turns.
func (d *doc) checkFloating(path string, s cloudSection) {
	if len(s.Floating) == 0 {
		return
	}
	at := under(path, s.floating)
	d.checkIDs(at, s.Floating, s.vendor, s.floatingID)
	if len(s.Floating) > maxFloating {
		d.fault(at, "%d; want %d at most", len(s.Floating), maxFloating)
	}
	if len(s.Subnets) > 1 {
		d.fault(at, "NICs of one subnet alone can have such an address, and the network has %d: give it one", len(s.Subnets))
	}
	if with := s.oneAddress(); with != "" {
		d.fault(at, "is not built yet for %s, whose containers get one address each; leave it out", with)
	}
}

// checkIDs wants ids of one kind, each once.
func (d *doc) checkIDs(path string, ids []string, v vendor, want shape) {
	for i, id := range ids {
		at := item(path, i)
		switch first := slices.Index(ids, id); {
		case !d.good(at):
		case !want.MatchString(id):
			d.fault(at, "%s is no id of %s; want one such as %s", quote(id), v.name, want.example)
		case first < i:
			d.fault(at, "%s is listed already on line %d", id, d.line(item(path, first)))
		}
	}
}

// checkTags wants tags that the cloud takes beside ours.
func (d *doc) checkTags(path string, v vendor, tags map[string]string) {
	if len(tags) > v.tags.most-v.tags.own {
		d.fault(path, "%d tags; %s allows %d, of which %d are nicferry's own", len(tags), v.name, v.tags.most, v.tags.own)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		at := under(path, key)
		if d.bad[at] {
			continue
		}
		lower := strings.ToLower(key)
		within := func(part string) bool {
			return strings.Contains(lower, part) || strings.Contains(strings.ToLower(tags[key]), part)
		}
		reserved := slices.IndexFunc(v.tags.reserved, func(begin string) bool { return strings.HasPrefix(lower, begin) })
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			d.fault(at, "a tag's key has 1 to %d characters, this one %d", maxTagKey, utf8.RuneCountInString(key))
		case reserved >= 0:
			d.fault(at, "keys that begin with %s are %s's own", v.tags.reserved[reserved], v.name)
		case strings.HasPrefix(lower, ownTagPrefix) || key == "Name":
			d.fault(at, "is a tag by which nicferry marks what is its own; want another key")
		case strings.ContainsFunc(key+tags[key], notText):
			d.fault(at, "has characters that cannot be printed")
		case slices.ContainsFunc(v.tags.notInTexts, within):
			d.fault(at, "%s takes no tags with %s in them", v.name, strings.Join(v.tags.notInTexts, " or "))
		}
		if n := utf8.RuneCountInString(tags[key]); n > v.tags.value {
			d.fault(at, "%d characters; %s allows a tag's value %d", n, v.name, v.tags.value)
		}
	}
}

func notText(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }
