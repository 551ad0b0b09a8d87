//go:build linux

package etc

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// A NIC is what one NIC brings to its container's files.
type NIC struct {
	Interface    string // such as eth0
	DefaultRoute bool
	// DNS is by precedence: the network's own, then what its DHCP server says.
	DNS []nic.DNS
	// Addrs are the NIC's addresses. Link-local ones are left out of hosts.
	Addrs []netip.Prefix
}

// Merge makes one wish of a container's NICs: the one with the default route
// first, the others in the order of their names, nothing twice, and not more
// than the files can hold. The names are the engine's Hostname and Domainname.
// It is pure, and checks nothing: Apply does.
func Merge(hostname, domainname string, nics []NIC) Wanted {
	nics = slices.Clone(nics)
	slices.SortStableFunc(nics, func(a, b NIC) int {
		if a.DefaultRoute != b.DefaultRoute {
			if a.DefaultRoute {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Interface, b.Interface)
	})
	var w Wanted
	names := hostNames(hostname, domainname)
	for _, n := range nics {
		for _, dns := range n.DNS {
			w.addServers(dns.Servers)
			w.addSearch(dns.Search)
		}
		for _, prefix := range n.Addrs {
			w.addHost(prefix.Addr().Unmap(), names)
		}
	}
	return w
}

func (w *Wanted) addServers(servers []netip.Addr) {
	for _, server := range servers {
		server = server.Unmap()
		if len(w.Servers) < MaxServers && !slices.Contains(w.Servers, server) {
			w.Servers = append(w.Servers, server)
		}
	}
}

func (w *Wanted) addSearch(domains []string) {
	for _, domain := range domains {
		known := slices.ContainsFunc(w.Search, func(d string) bool { return strings.EqualFold(d, domain) })
		grown := len(strings.Join(w.Search, " ")) + 1 + len(domain)
		if !known && len(w.Search) < MaxSearch && grown <= maxSearchBytes {
			w.Search = append(w.Search, domain)
		}
	}
}

func (w *Wanted) addHost(addr netip.Addr, names []string) {
	known := slices.ContainsFunc(w.Hosts, func(h Host) bool { return h.Addr == addr })
	if !known && len(names) > 0 && len(w.Hosts) < maxHosts && !addr.IsLinkLocalUnicast() {
		w.Hosts = append(w.Hosts, Host{Addr: addr, Names: names})
	}
}

// hostNames are the whole name and the short one, as Docker writes them for its
// own networks: people give the domain by --domainname or within --hostname.
func hostNames(hostname, domainname string) []string {
	whole := hostname
	if hostname != "" && domainname != "" {
		whole += "." + domainname
	}
	short, _, dotted := strings.Cut(whole, ".")
	switch {
	case whole == "":
		return nil
	case !dotted || short == "":
		return []string{whole}
	case domainname != "":
		return []string{whole, hostname}
	}
	return []string{whole, short}
}
