package identity

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/nicferry/nicferry/internal/conf"
)

// defaultPort is the controller's where an address has none.
const defaultPort = "7460"

// ParseAddresses reads a controller's addresses, separated by commas. https://
// and port 7460 may be left out.
func ParseAddresses(text string) ([]string, error) {
	var all []string
	for _, one := range strings.Split(text, ",") {
		address, err := parseAddress(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		all = append(all, address)
	}
	return all, nil
}

func parseAddress(text string) (string, error) {
	if text == "" {
		return "", errors.New("an address of the controller is empty; want one such as 10.0.0.1:7460")
	}
	rest, given := strings.CutPrefix(text, "https://")
	if !given && strings.Contains(text, "://") {
		return "", checkRemote(text)
	}
	rest = strings.TrimSuffix(rest, "/")
	bare := strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		rest = net.JoinHostPort(addr.String(), defaultPort)
	} else if !strings.Contains(rest, ":") {
		rest = net.JoinHostPort(rest, defaultPort)
	}
	address := "https://" + rest
	return address, checkRemote(address)
}

// checkRemote wants an https:// address.
func checkRemote(address string) error {
	if strings.HasPrefix(address, "unix://") {
		return fmt.Errorf("address %q: over the controller's own socket nobody has to join; leave controllers out of the agent's config, or want an address such as https://10.0.0.1:7460", address)
	}
	if err := conf.CheckAddress(address); err != nil {
		return fmt.Errorf("address %w", err)
	}
	return nil
}
