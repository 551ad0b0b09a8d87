//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"os"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/undo"
)

// prepare sets what a link takes over from its namespace as it arrives: no
// addresses or routes by router advertisement, and IPv6 only where wanted.
//
// Docker's --network none switches IPv6 off for "all" and "default". Writing
// "all" would switch it on for the container's other NICs too, so it is
// "default", for the NIC that comes, and "lo", for ::1.
func prepare(ns *netns.Namespace, ipv6 bool, u *undo.Stack) error {
	if err := swap(ns, u, "0", "default", "accept_ra"); err != nil {
		return err
	}
	if err := swap(ns, u, disable(ipv6), "default", "disable_ipv6"); err != nil {
		return err
	}
	if ipv6 {
		return swap(ns, u, "0", "lo", "disable_ipv6")
	}
	return nil
}

// settleIPv6 does the same for a link that is there already.
func settleIPv6(ns *netns.Namespace, name string, ipv6 bool) error {
	var none undo.Stack
	if ipv6 {
		if err := swap(ns, &none, "0", name, "accept_ra"); err != nil {
			return err
		}
	}
	return swap(ns, &none, disable(ipv6), name, "disable_ipv6")
}

func disable(ipv6 bool) string {
	if ipv6 {
		return "0"
	}
	return "1"
}

// swap writes a setting, unless it is so already, and pushes its undo. On a
// kernel without IPv6 there is nothing to switch off.
func swap(ns *netns.Namespace, u *undo.Stack, value, scope, key string) error {
	parts := []string{"ipv6", "conf", scope, key}
	was, err := ns.Sysctl(parts...)
	if errors.Is(err, os.ErrNotExist) && !(key == "disable_ipv6" && value == "0") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read sysctl net.ipv6.conf.%s.%s: %w", scope, key, err)
	}
	if was == value {
		return nil
	}
	if err := ns.SetSysctl(value, parts...); err != nil {
		return fmt.Errorf("set sysctl net.ipv6.conf.%s.%s: %w", scope, key, err)
	}
	u.Push("set back sysctl net.ipv6.conf."+scope+"."+key, func() error { return ns.SetSysctl(was, parts...) })
	return nil
}
