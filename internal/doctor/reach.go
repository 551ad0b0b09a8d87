package doctor

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// reaches lists which addresses are routed, by the tables of /proc/PID/net.
func (t tree) reaches(dir string, to []netip.Addr) (open []string) {
	v4, _ := t.read(dir + "route")
	v6, _ := t.read(dir + "ipv6_route")
	for _, addr := range to {
		table, parse := v4, route4
		if addr.Is6() {
			table, parse = v6, route6
		}
		longest, routed := -1, false
		for line := range strings.Lines(table) {
			p, closed, err := parse(strings.Fields(line))
			if err == nil && p.Contains(addr) && p.Bits() > longest {
				longest, routed = p.Bits(), !closed
			}
		}
		if routed {
			open = append(open, addr.String())
		}
	}
	return open
}

// rejects is the flag of routes that lead nowhere.
const rejects = 0x200

var errNoRoute = errors.New("no route")

// route4 reads a line of /proc/net/route. A blackhole has no device and no flag.
func route4(f []string) (p netip.Prefix, closed bool, err error) {
	if len(f) < 8 {
		return p, false, errNoRoute
	}
	to, err := strconv.ParseUint(f[1], 16, 32)
	mask, maskErr := strconv.ParseUint(f[7], 16, 32)
	flags, flagsErr := strconv.ParseUint(f[3], 16, 32)
	if err = errors.Join(err, maskErr, flagsErr); err != nil {
		return p, false, err
	}
	var addr [4]byte
	binary.NativeEndian.PutUint32(addr[:], uint32(to)) // as it lies in memory
	return netip.PrefixFrom(netip.AddrFrom4(addr), bits.OnesCount64(mask)), f[0] == "*" || flags&rejects != 0, nil
}

// route6 reads a line of /proc/net/ipv6_route.
func route6(f []string) (p netip.Prefix, closed bool, err error) {
	if len(f) < 10 {
		return p, false, errNoRoute
	}
	to, err := hex.DecodeString(f[0])
	length, lengthErr := strconv.ParseUint(f[1], 16, 8)
	flags, flagsErr := strconv.ParseUint(f[8], 16, 32)
	addr, ok := netip.AddrFromSlice(to)
	if err = errors.Join(err, lengthErr, flagsErr); err != nil || !ok {
		return p, false, errors.Join(errNoRoute, err)
	}
	return netip.PrefixFrom(addr, int(length)), f[9] == "lo" || flags&rejects != 0, nil
}
