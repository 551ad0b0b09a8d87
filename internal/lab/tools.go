//go:build linux

package lab

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Tool is a program that the lab runs.
type Tool struct {
	Name    string
	Package string // Debian's
	Why     string
}

// Tools lists the programs that the lab runs.
func Tools() []Tool {
	return []Tool{
		{"dockerd", "docker.io", "the engine whose containers get NICs"},
		{"docker", "docker.io", "to start containers as a person would"},
		{"docker-init", "docker.io", "the first process of nodes and containers"},
		{"dnsmasq", "dnsmasq-base", "a real DHCP server on the lab's network"},
		{"busybox", "busybox-static", "the contents of the lab's image"},
		{"ping", "iputils-ping", "to measure what is lost"},
		{"ip", "iproute2", "to make the lab's network and to look at it with foreign eyes"},
		{"bridge", "iproute2", "to look at bridges with foreign eyes"},
		{"nsenter", "util-linux", "to run programs inside the node"},
		{"setpriv", "util-linux", "to end programs with who started them"},
		{"lsns", "util-linux", "to see which namespaces are left"},
		{"ps", "procps", "to see which processes are left"},
		{"sysctl", "procps", "to keep IPv6 off the uplink"},
		{"mount", "mount", "to give the node a /run of its own"},
	}
}

// Missing lists the programs that are not installed, and busybox where it is
// linked dynamically: a container has no libraries for it.
func Missing() []Tool {
	var missing []Tool
	for _, t := range Tools() {
		path := Lookup(t.Name)
		if !filepath.IsAbs(path) || t.Name == "busybox" && CheckStatic(path) != nil {
			missing = append(missing, t)
		}
	}
	return missing
}

// ready says what keeps a lab from starting on this machine.
func ready() error {
	if os.Geteuid() != 0 {
		return errors.New("a lab node needs root, to make namespaces")
	}
	return NotInstalled("a lab node", Missing())
}

// NotInstalled is the error of who needs programs that are missing, with the
// packages of Debian's that they are in; nil if none is.
func NotInstalled(who string, missing []Tool) error {
	var names []string
	for _, t := range missing {
		names = append(names, fmt.Sprintf("%s (Debian package %s)", t.Name, t.Package))
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%s needs programs that are not installed: %s", who, strings.Join(names, ", "))
}

// Lookup finds a program also where an ordinary PATH does not look. A name that
// is found nowhere comes back as it is, for exec to complain about.
func Lookup(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return name
}

// CheckStatic refuses a program that needs a dynamic linker.
func CheckStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically: install busybox-static", path)
		}
	}
	return nil
}
