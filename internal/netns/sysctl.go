//go:build linux

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctls are the settings of the namespace that the thread is in. A setting's path
// is given as parts, such as "ipv6", "conf", "default", "accept_ra".
type Sysctls struct{}

// Sysctls calls fn on a thread of its own inside the namespace, as Do does: to read and
// write many settings takes one visit.
func (n *Namespace) Sysctls(fn func(Sysctls) error) error {
	return n.Do(func() error { return fn(Sysctls{}) })
}

// Get reads a setting below /proc/sys/net.
func (Sysctls) Get(parts ...string) (string, error) {
	path, err := sysctlPath(parts)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// Set writes a setting below /proc/sys/net.
func (Sysctls) Set(value string, parts ...string) error {
	path, err := sysctlPath(parts)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(value), 0)
}

// Sysctl reads one setting as the namespace has it.
func (n *Namespace) Sysctl(parts ...string) (value string, err error) {
	err = n.Sysctls(func(s Sysctls) (err error) {
		value, err = s.Get(parts...)
		return err
	})
	return value, err
}

// SetSysctl writes one setting.
func (n *Namespace) SetSysctl(value string, parts ...string) error {
	return n.Sysctls(func(s Sysctls) error { return s.Set(value, parts...) })
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
