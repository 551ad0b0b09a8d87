package ecs

import (
	"slices"
	"strings"
)

// kinds are those that can be made, in the words of the two clouds.
var kinds = map[string]string{"": "interface", "Secondary": "interface", "Trunk": "trunk"}

// mostAtOnce is how many IPv6 addresses or prefixes a call can ask for, mostAddresses
// how many of IPv4 besides the primary one [D].
const (
	mostAtOnce    = 10
	mostAddresses = 49
)

// checkCreate refuses what is documented as out of bounds.
func checkCreate(r *createInterface) error {
	modes := []string{"", "Standard", "HighPerformance"}
	switch {
	case kinds[r.Type] == "":
		return refuse(badValue, "InstanceType")
	case !slices.Contains(modes, r.TrafficMode):
		return refuse(badValue, "NetworkInterfaceTrafficMode")
	}
	if err := checkWords(&r.Name, &r.Description); err != nil {
		return err
	}
	if err := checkCounts(r.Count, r.PrefixCount, len(r.Addrs), len(r.Prefixes)); err != nil {
		return err
	}
	return checkCounts6(r.IPv6Count, r.IPv6PrefixCount, len(r.IPv6), len(r.IPv6Prefixes))
}

// checkWords refuses names and descriptions of other lengths than 2 to 128 and 2 to 256,
// and such as look like a URL [D].
func checkWords(name, description *string) error {
	wrong := func(text *string, most int) bool {
		if text == nil || *text == "" {
			return false
		}
		n := len([]rune(*text))
		return n < 2 || n > most || strings.HasPrefix(*text, "http://") || strings.HasPrefix(*text, "https://")
	}
	switch {
	case wrong(name, 128):
		return refuse(badValue, "NetworkInterfaceName")
	case wrong(description, 256):
		return refuse(badValue, "Description")
	}
	return nil
}

// checkCounts refuses numbers of IPv4 addresses and prefixes that no call can ask for.
func checkCounts(count, prefixCount *int, addrs, prefixes int) error {
	switch {
	case outside(count, mostAddresses):
		return refuse(badValue, "SecondaryPrivateIpAddressCount")
	case addrs > mostAddresses:
		return refuse(badValue, "PrivateIpAddress")
	case outside(prefixCount, mostAtOnce):
		return refuse(badValue, "Ipv4PrefixCount")
	case prefixes > mostAtOnce:
		return refuse(badValue, "Ipv4Prefix")
	}
	return nil
}

// checkCounts6 refuses numbers of IPv6 addresses and prefixes that no call can ask for.
func checkCounts6(count, prefixCount *int, addrs, prefixes int) error {
	switch {
	case outside(count, mostAtOnce):
		return refuse(badValue, "Ipv6AddressCount")
	case addrs > mostAtOnce:
		return refuse(badValue, "Ipv6Address")
	case outside(prefixCount, mostAtOnce):
		return refuse(badValue, "Ipv6PrefixCount")
	case prefixes > mostAtOnce:
		return refuse(badValue, "Ipv6Prefix")
	}
	return nil
}

// outside says whether a number that is given is none of 1 to most.
func outside(n *int, most int) bool { return n != nil && (*n < 1 || *n > most) }

// number is one that may be left out.
func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
