//go:build linux

package etc

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// What every resolver takes (resolv.conf(5), and musl's).
const (
	MaxServers     = 3
	MaxSearch      = 6
	maxSearchBytes = 255 // with a space between two
)

const (
	maxHosts  = 64  // lines; a NIC has a few addresses
	maxName   = 253 // bytes, RFC 1035 §2.3.4
	maxLabel  = 63
	maxQuoted = 80
)

// The values were checked where they came from. They are checked again here,
// where a line end or a space in one would say something else.
func (w Wanted) checkResolvConf() error {
	if len(w.Servers) > MaxServers {
		return fmt.Errorf("%d name servers: at most %d", len(w.Servers), MaxServers)
	}
	for _, server := range w.Servers {
		if err := checkAddr(server); err != nil {
			return fmt.Errorf("name server: %w", err)
		}
	}
	if w.UserSearch {
		return nil
	}
	if len(w.Search) > MaxSearch || len(strings.Join(w.Search, " ")) > maxSearchBytes {
		return fmt.Errorf("%d search domains: at most %d of together %d bytes", len(w.Search), MaxSearch, maxSearchBytes)
	}
	for _, domain := range w.Search {
		if err := checkName(domain); err != nil {
			return fmt.Errorf("search domain: %w", err)
		}
	}
	return nil
}

func checkHosts(hosts []Host) error {
	if len(hosts) > maxHosts {
		return fmt.Errorf("%d addresses: at most %d", len(hosts), maxHosts)
	}
	for _, host := range hosts {
		if err := checkAddr(host.Addr); err != nil {
			return fmt.Errorf("host: %w", err)
		}
		if len(host.Names) == 0 {
			return fmt.Errorf("host %s: has no name", host.Addr)
		}
		for _, name := range host.Names {
			if err := checkName(name); err != nil {
				return fmt.Errorf("host %s: %w", host.Addr, err)
			}
		}
	}
	return nil
}

func checkAddr(addr netip.Addr) error {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return fmt.Errorf("address %s: is none of a single machine", addr)
	}
	if zone := addr.Zone(); zone != "" {
		if err := nic.CheckInterfaceName(zone); err != nil {
			return fmt.Errorf("address with a zone: %w", err)
		}
	}
	return nil
}

// checkName allows dotted labels of letters, digits, and inner '-' and '_',
// which DNS knows in no host's name and people give to containers all the same.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name of %d bytes: want 1 to %d", len(name), maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return fmt.Errorf("name %.*q: want dotted labels of letters, digits and inner '-' or '_'", maxQuoted, name)
		}
	}
	return nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
