//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"os"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/nic"
)

// A setting is one of net.ipv4.conf.SCOPE or net.ipv6.conf.SCOPE.
type setting struct{ key, value string }

// settings are how a NIC deals with IPv6, in the order in which they are set:
// it is switched on last. Router advertisements are ignored unless they are
// the network's way to give addresses; and then default routes are taken from
// them only on the NIC that carries the container's, and more specific ones
// never. Redirects could bend any route.
func (e Entry) settings() []setting {
	switch {
	case !e.IPv6:
		return []setting{{"accept_ra", "0"}, {"autoconf", "0"}, {"disable_ipv6", "1"}}
	case !advertised(e.IPv6Mode):
		return []setting{
			{"accept_ra", "0"},
			{"accept_redirects", "0"},
			{"autoconf", "0"},
			{"use_tempaddr", "0"},
			{"disable_ipv6", "0"},
		}
	}
	all := []setting{
		{"accept_ra_pinfo", "1"}, // which prefixes are on the link
		{"accept_ra_defrtr", onOff(e.DefaultRoute)},
		{"accept_ra_rt_info_max_plen", "0"},
		{"accept_redirects", "0"},
	}
	all = append(all, setting{"autoconf", onOff(e.IPv6Mode == nic.IPv6SLAAC)})
	if e.IPv6Mode != nic.IPv6SLAAC || e.Isolated {
		all = append(all, setting{"use_tempaddr", "0"})
	}
	return append(all, setting{"accept_ra", "1"}, setting{"disable_ipv6", "0"})
}

// advertised says whether a mode heeds router advertisements.
func advertised(mode nic.IPv6Mode) bool {
	return mode == nic.IPv6SLAAC || mode == nic.IPv6DHCP
}

func onOff(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// prepare sets what a link takes over from its namespace as it arrives.
//
// Docker's --network none switches IPv6 off for "all" and "default". Writing
// "all" would switch it on for the container's other NICs too, so it is
// "default", for the NIC that comes, and "lo", for ::1.
func prepare(ns *netns.Namespace, e Entry, u *undo.Stack) error {
	return ns.Sysctls(func(now netns.Sysctls) error {
		v := visit{ns, now, u}
		if err := v.settle("default", e); err != nil {
			return err
		}
		if e.IPv6 {
			return v.swap("0", "ipv6", "conf", "lo", "disable_ipv6")
		}
		return nil
	})
}

// arpSettings make a NIC answer for its own addresses alone, and speak from
// them. Of two NICs on one LAN the kernel would have either answer for both, and
// each would be taken for another holder of the other's address.
var arpSettings = [...]setting{{"arp_ignore", "1"}, {"arp_announce", "2"}}

// settle does the same for one scope, such as a link that is there already.
func settle(ns *netns.Namespace, scope string, e Entry, u *undo.Stack) error {
	return ns.Sysctls(func(now netns.Sysctls) error { return visit{ns, now, u}.settle(scope, e) })
}

// swap does one setting of a namespace.
func swap(ns *netns.Namespace, u *undo.Stack, value string, parts ...string) error {
	return ns.Sysctls(func(now netns.Sysctls) error { return visit{ns, now, u}.swap(value, parts...) })
}

// A visit to a namespace is one for all settings: to enter it takes longer than
// they do.
type visit struct {
	ns  *netns.Namespace
	now netns.Sysctls
	u   *undo.Stack
}

func (v visit) settle(scope string, e Entry) error {
	for _, s := range arpSettings {
		if err := v.swap(s.value, "ipv4", "conf", scope, s.key); err != nil {
			return err
		}
	}
	for _, s := range e.settings() {
		if err := v.swap(s.value, "ipv6", "conf", scope, s.key); err != nil {
			return err
		}
	}
	return nil
}

// swap writes a setting below /proc/sys/net, unless it is so already, and
// pushes its undo. On a kernel without IPv6 there is nothing to switch off.
func (v visit) swap(value string, parts ...string) error {
	name := fmt.Sprintf("sysctl net.%s.%s.%s.%s", parts[0], parts[1], parts[2], parts[3])
	was, err := v.now.Swap(value, parts...)
	if errors.Is(err, os.ErrNotExist) && !(parts[3] == "disable_ipv6" && value == "0") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s %s: %w", name, value, err)
	}
	if was == value {
		return nil
	}
	v.u.Push("set back "+name, func() error { return v.ns.SetSysctl(was, parts...) }) // after the visit
	return nil
}
