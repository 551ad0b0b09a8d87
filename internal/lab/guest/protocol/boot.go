// Package protocol is what the lab and its virtual machines say to each other:
// on the kernel's command line at boot, and over TCP afterwards.
package protocol

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Port is where a guest serves commands, on its management address.
const Port = 7077

// Argument is what makes the lab's own program a guest's first service.
const Argument = "guest-init"

// prefix is that of our words on the kernel's command line.
const prefix = "nicferry."

// maxCmdline is the kernel's COMMAND_LINE_SIZE on amd64, with its final zero.
const maxCmdline = 2048

// DockerMode says how a guest runs its Docker engine.
type DockerMode string

const (
	// DockerOff runs none.
	DockerOff DockerMode = "off"
	// DockerOn runs one with its default bridge, docker0.
	DockerOn DockerMode = "on"
	// DockerLiveRestore runs one whose containers live on while it is down.
	DockerLiveRestore DockerMode = "live-restore"
)

// A Mount is a tree of the host that a guest mounts over virtio-9p.
type Mount struct {
	Tag      string // of the 9p device
	Path     string // in the guest
	Writable bool
}

// Boot is what one guest is told at boot.
type Boot struct {
	// Hostname is the guest's name. Required: a DNS label.
	Hostname string
	// MAC is the management NIC's. Required, unlike any other's of the guest.
	MAC net.HardwareAddr
	// Addr is the management NIC's address with its prefix. Required.
	Addr netip.Prefix
	// Gateway is where the default route points. Optional: no default route.
	Gateway netip.Addr
	// Modules are loaded at boot, in order, besides those that any guest needs.
	// Optional.
	Modules []string
	// Docker says how dockerd runs. Optional: DockerOff.
	Docker DockerMode
	// DockerDisk is the serial number of the virtio disk that holds
	// /var/lib/docker and is formatted when it is blank. Optional: a tmpfs, which
	// a reboot empties.
	DockerDisk string
	// Mounts are mounted besides those that any guest needs. Optional.
	Mounts []Mount
	// Kernel are words for the kernel itself, such as intel_iommu=on. Optional.
	Kernel []string
}

// Cmdline writes b as words of a kernel's command line. It errs when a value
// cannot be carried there.
func (b Boot) Cmdline() (string, error) {
	if b.Docker == "" {
		b.Docker = DockerOff
	}
	if err := b.check(); err != nil {
		return "", fmt.Errorf("write kernel command line: %w", err)
	}
	words := append([]string{"console=ttyS0", "panic=-1", "quiet"}, b.Kernel...)
	add := func(key, value string) {
		if value != "" {
			words = append(words, prefix+key+"="+value)
		}
	}
	add("name", b.Hostname)
	add("mac", b.MAC.String())
	add("addr", b.Addr.String())
	if b.Gateway.IsValid() {
		add("gateway", b.Gateway.String())
	}
	add("modules", strings.Join(b.Modules, ","))
	add("docker", string(b.Docker))
	add("docker-disk", b.DockerDisk)
	for _, m := range b.Mounts {
		add("mount", m.Tag+":"+m.Path+":"+strconv.FormatBool(m.Writable))
	}
	for _, w := range words {
		if strings.ContainsAny(w, " \t\n\"\\") {
			return "", fmt.Errorf("write kernel command line: %q has a character that cannot stand there", w)
		}
	}
	line := strings.Join(words, " ")
	if len(line) >= maxCmdline {
		return "", fmt.Errorf("write kernel command line: %d bytes are more than the kernel's %d", len(line), maxCmdline-1)
	}
	return line, nil
}

func (b Boot) check() error {
	var errs []error
	if b.Hostname == "" || len(b.Hostname) > 63 || strings.ContainsFunc(b.Hostname, notInName) {
		errs = append(errs, fmt.Errorf("host name %q is not a DNS label", b.Hostname))
	}
	if len(b.MAC) != 6 {
		errs = append(errs, fmt.Errorf("MAC %q of the management NIC has not 6 bytes", b.MAC))
	}
	if !b.Addr.IsValid() {
		errs = append(errs, errors.New("the management NIC has no address"))
	}
	if !slices.Contains([]DockerMode{DockerOff, DockerOn, DockerLiveRestore}, b.Docker) {
		errs = append(errs, fmt.Errorf("no Docker mode is called %q", b.Docker))
	}
	for _, m := range b.Mounts {
		if m.Tag == "" || len(m.Tag) > 31 || !strings.HasPrefix(m.Path, "/") || strings.Contains(m.Tag+m.Path, ":") {
			errs = append(errs, fmt.Errorf("mount %q at %q: the tag needs 1 to 31 characters, the path a leading slash, and neither a colon", m.Tag, m.Path))
		}
	}
	return errors.Join(errs...)
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
}

// ParseCmdline reads what Cmdline wrote out of a kernel's command line.
func ParseCmdline(line string) (Boot, error) {
	var b Boot
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		key, ours := strings.CutPrefix(key, prefix)
		if !ours {
			continue
		}
		if err := b.set(key, value); err != nil {
			return Boot{}, fmt.Errorf("read kernel command line: %s: %w", word, err)
		}
	}
	if err := b.check(); err != nil {
		return Boot{}, fmt.Errorf("read kernel command line: %w", err)
	}
	return b, nil
}

func (b *Boot) set(key, value string) (err error) {
	switch key {
	case "name":
		b.Hostname = value
	case "mac":
		b.MAC, err = net.ParseMAC(value)
	case "addr":
		b.Addr, err = netip.ParsePrefix(value)
	case "gateway":
		b.Gateway, err = netip.ParseAddr(value)
	case "modules":
		b.Modules = strings.Split(value, ",")
	case "docker":
		b.Docker = DockerMode(value)
	case "docker-disk":
		b.DockerDisk = value
	case "mount":
		parts := strings.Split(value, ":")
		if len(parts) != 3 {
			return errors.New("a mount has three parts")
		}
		b.Mounts = append(b.Mounts, Mount{Tag: parts[0], Path: parts[1], Writable: parts[2] == "true"})
	default:
		err = errors.New("unknown word")
	}
	return err
}
