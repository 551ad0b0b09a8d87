//go:build linux

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl reads a setting below /proc/sys/net as the namespace has it. The path
// is given as parts, such as "ipv6", "conf", "default", "accept_ra".
func (n *Namespace) Sysctl(parts ...string) (value string, err error) {
	path, err := sysctlPath(parts)
	if err != nil {
		return "", err
	}
	err = n.Do(func() error {
		b, err := os.ReadFile(path)
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// SetSysctl writes a setting below /proc/sys/net.
func (n *Namespace) SetSysctl(value string, parts ...string) error {
	path, err := sysctlPath(parts)
	if err != nil {
		return err
	}
	return n.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
}

// sysctlPath keeps a hostile interface name from becoming a path.
func sysctlPath(parts []string) (string, error) {
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsRune(p, '/') {
			return "", fmt.Errorf("sysctl net/%s: %q cannot be part of it", strings.Join(parts, "/"), p)
		}
	}
	return filepath.Join(append([]string{"/proc/sys/net"}, parts...)...), nil
}
