package conf

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nicferry/nicferry/nic"
)

// The limits of AWS that no account can have raised, and bounds of what a slip
// of the keyboard can ask for. What an account and an instance type allow, AWS
// itself says.
const (
	maxAWSMTU     = 9001
	maxGroups     = 16  // of a NIC, where the account's quota is raised
	maxPrefixes   = 256 // what the largest instance has is a fraction of it
	maxTags       = 50  // of a NIC, with ours
	ownTags       = 5   // nicferry.io/nic, cluster, node and claim, and Name
	maxTagKey     = 128 // characters
	maxTagValue   = 256
	maxProfile    = 128
	ownTagPrefix  = "nicferry.io/"
	awsTagPrefix  = "aws:"
	regionExample = "eu-central-1"
	maxCalls      = 1000 // of which none is throttled, as by an API of one's own
)

// An id is its kind, and 8 or 17 hexadecimal digits.
var (
	subnetID   = regexp.MustCompile(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`)
	groupID    = regexp.MustCompile(`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`)
	instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)
	region     = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	zone       = regexp.MustCompile(`^([a-z]{2,4}(-[a-z]+)+-[0-9]{1,2})[a-z]$`)
)

// checkAWSProvider checks what a provider of the kind aws is told.
func (d *doc) checkAWSProvider(path string, a AWS) {
	if at := under(path, "region"); d.good(at) {
		d.faultErr(at, checkRegion(a.Region))
	}
	if at := under(path, "endpoint"); d.good(at) {
		d.faultErr(at, checkEndpoint(a.Endpoint))
	}
	if at := under(path, "profile"); d.good(at) {
		if a.Profile == "" || len(a.Profile) > maxProfile || strings.ContainsFunc(a.Profile, notGraphic) || strings.ContainsAny(a.Profile, "[]") {
			d.fault(at, "%s is no name of a profile", quote(a.Profile))
		}
	}
	if at := under(path, "calls"); d.good(at) && (a.Calls < 1 || a.Calls > maxCalls) {
		d.fault(at, "%d; want 1 to %d", a.Calls, maxCalls)
	}
}

func checkRegion(name string) error {
	if m := zone.FindStringSubmatch(name); m != nil {
		return fmt.Errorf("%s is a zone; its region is %s", quote(name), m[1])
	}
	if !region.MatchString(name) {
		return fmt.Errorf("%s is no region; want one such as %s", quote(name), regionExample)
	}
	return nil
}

// checkEndpoint wants a URL under which an EC2 API is served. Without TLS only
// on this machine: who can read along can use what is signed.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(endpoint, notGraphic) {
		return fmt.Errorf("%s is no URL of an API; want one such as https://ec2.%s.amazonaws.com", quote(endpoint), regionExample)
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := err == nil && addr.IsLoopback() || u.Hostname() == "localhost"
	switch {
	case u.User != nil:
		return errors.New("has a user in it, which would be seen in logs; credentials come from the standard chain")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s; want no ? and no # in it", quote(endpoint))
	case u.Scheme == "http" && !local:
		return fmt.Errorf("%s goes over the network without TLS; want https://, or http:// on this machine alone", quote(endpoint))
	}
	return nil
}

// checkCloud wants the section aws of networks of AWS, and of no others.
func (d *doc) checkCloud(path string, n network, p *Provider) {
	awsAt := under(path, "aws")
	isAWS := p != nil && p.Kind == KindAWS
	switch {
	case p != nil && !isAWS && d.given(awsAt):
		d.fault(awsAt, "provider %s is of kind %s; aws is for a provider of kind %s", quote(p.Name), p.Kind, KindAWS)
	case isAWS && !d.given(awsAt):
		d.fault(path, "provider %s makes its NICs in AWS: want aws", quote(p.Name))
	}
	for _, other := range []string{"veth", "macvlan", "port"} {
		if at := under(path, other); isAWS && d.given(at) {
			d.fault(at, "provider %s makes its NICs in AWS: want aws instead", quote(p.Name))
		}
	}
	if isAWS {
		d.checkAWSNetwork(path, n)
	}
	if n.AWS != nil && !d.bad[awsAt] {
		d.checkAWS(awsAt, *n.AWS)
	}
}

// checkAWSNetwork checks what a network of AWS says outside its section.
func (d *doc) checkAWSNetwork(path string, n network) {
	if at := under(path, "addressing"); d.good(at) && (n.Addressing == string(nic.AddrDHCP) || n.Addressing == string(nic.AddrIPAM)) {
		d.fault(at, "AWS gives the addresses: want %s; a container asks for a certain one by the label %s", nic.AddrProvider, nic.LabelIP)
	}
	if n.MTU > maxAWSMTU && n.MTU <= maxMTU {
		d.fault(under(path, "mtu"), "%d; AWS carries %d at most", n.MTU, maxAWSMTU)
	}
	if at := under(path, "subnets"); d.good(at) && len(n.Subnets) > 0 {
		d.fault(at, "AWS says the prefixes and gateways of its subnets itself: leave it out, and name them in aws: {subnets: …}")
	}
	if at := under(path, "pool"); n.AWS != nil && n.AWS.Mode != modeShared && n.AWS.oneAddress() != "" && n.Pool != nil && max(n.Pool.Min, n.Pool.Max) > 0 && !d.bad[at] {
		d.fault(at, "with %s nothing is kept in reserve: leave it out", n.AWS.oneAddress())
	}
	if at := under(path, "ipv6"); n.IPv6 != "" && d.good(at) {
		d.fault(at, "AWS gives the addresses; want aws: {ipv6: true} instead")
	}
}

// checkAWS checks where AWS makes a network's NICs.
func (d *doc) checkAWS(path string, s awsSection) {
	if at := under(path, "subnets"); d.good(at) && len(s.Subnets) == 0 {
		d.fault(at, "want at least one subnet")
	}
	d.checkIDs(under(path, "subnets"), s.Subnets, subnetID, "subnet-0123456789abcdef0")
	d.checkIDs(under(path, "groups"), s.Groups, groupID, "sg-0123456789abcdef0")
	if len(s.Groups) > maxGroups {
		d.fault(under(path, "groups"), "%d groups; AWS allows a NIC %d at most, and that only where the account's quota is raised", len(s.Groups), maxGroups)
	}
	if s.Prefixes < 0 || s.Prefixes > maxPrefixes {
		d.fault(under(path, "prefixes"), "%d; want 0 to %d", s.Prefixes, maxPrefixes)
	}
	d.checkOneOf(under(path, "pick"), s.Pick, pickMostFree, pickOrdered, pickRandom)
	d.checkOneOf(under(path, "movable"), s.Movable, movesNIC, movesAddress)
	d.checkOneOf(under(path, "mode"), s.Mode, modeDedicated, modeShared)
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
		d.checkTags(at, s.Tags)
	}
}

// oneAddress is the setting by which each container gets one further address of a
// NIC, as people write it; "" if it gets all of the NIC.
func (s awsSection) oneAddress() string {
	switch {
	case s.Mode == modeShared:
		return "mode " + modeShared
	case s.Movable == movesAddress:
		return "movable " + movesAddress
	}
	return ""
}

// checkIDs wants ids of one kind, each once.
func (d *doc) checkIDs(path string, ids []string, shape *regexp.Regexp, example string) {
	for i, id := range ids {
		at := item(path, i)
		switch first := slices.Index(ids, id); {
		case !d.good(at):
		case !shape.MatchString(id):
			d.fault(at, "%s is no id of AWS; want one such as %s", quote(id), example)
		case first < i:
			d.fault(at, "%s is listed already on line %d", id, d.line(item(path, first)))
		}
	}
}

// checkTags wants tags that AWS takes beside ours.
func (d *doc) checkTags(path string, tags map[string]string) {
	if len(tags) > maxTags-ownTags {
		d.fault(path, "%d tags; AWS allows %d, of which %d are nicferry's own", len(tags), maxTags, ownTags)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		at := under(path, key)
		if d.bad[at] {
			continue
		}
		lower := strings.ToLower(key)
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			d.fault(at, "a tag's key has 1 to %d characters, this one %d", maxTagKey, utf8.RuneCountInString(key))
		case strings.HasPrefix(lower, awsTagPrefix):
			d.fault(at, "keys that begin with %s are AWS's own", awsTagPrefix)
		case strings.HasPrefix(lower, ownTagPrefix) || key == "Name":
			d.fault(at, "is a tag by which nicferry marks what is its own; want another key")
		case strings.ContainsFunc(key+tags[key], notText):
			d.fault(at, "has characters that cannot be printed")
		}
		if n := utf8.RuneCountInString(tags[key]); n > maxTagValue {
			d.fault(at, "%d characters; AWS allows a tag's value %d", n, maxTagValue)
		}
	}
}

func notText(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }
