//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
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
	var b [maxSysctl]byte
	n, err := touch(path, unix.O_RDONLY, func(fd int) (int, error) { return unix.Read(fd, b[:]) })
	return strings.TrimSpace(string(b[:n])), err
}

// maxSysctl is more than any of these settings has, in bytes: a page.
const maxSysctl = 4096

// touch does one thing to a file. os.File would ask the kernel four times more, for what is
// of no use here; a NIC that comes has a dozen settings.
func touch(path string, flags int, do func(fd int) (int, error)) (n int, err error) {
	fd, err := retried(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if n, err = retried(func() (int, error) { return do(fd) }); err != nil {
		return 0, &os.PathError{Op: "read or write", Path: path, Err: err}
	}
	return n, nil
}

// retried does it again when a signal came.
func retried(do func() (int, error)) (n int, err error) {
	for {
		if n, err = do(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Set writes a setting below /proc/sys/net.
func (Sysctls) Set(value string, parts ...string) error {
	path, err := sysctlPath(parts)
	if err != nil {
		return err
	}
	_, err = touch(path, unix.O_WRONLY, func(fd int) (int, error) { return unix.Write(fd, []byte(value)) })
	return err
}

// Swap makes a setting value and says what it was; one that is so already is not written.
func (s Sysctls) Swap(value string, parts ...string) (was string, err error) {
	path, err := sysctlPath(parts)
	if err != nil {
		return "", err
	}
	var b [maxSysctl]byte
	_, err = touch(path, unix.O_RDWR, func(fd int) (int, error) {
		n, err := unix.Pread(fd, b[:], 0)
		if err != nil {
			return 0, err
		}
		if was = strings.TrimSpace(string(b[:n])); was == value {
			return n, nil
		}
		return unix.Pwrite(fd, []byte(value), 0)
	})
	if err != nil && was == "" { // it may be so already, and not for us to write
		if is, getErr := s.Get(parts...); getErr == nil && is == value {
			return is, nil
		}
	}
	return was, err
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
