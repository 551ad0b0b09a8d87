//go:build linux

package sysfs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/sriov"
)

// Namespaces says, for Options.Elsewhere, in whose network namespaces the
// interfaces of PCI devices are that are not in this one: containers, processes or
// mounts. It goes into all namespaces that it finds, which needs root.
func Namespaces() (all map[sriov.Address]string, err error) {
	here, err := netns.Current()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, here.Close()) }()
	others, err := netns.Live(here.ID())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, netns.CloseAll(others)) }()
	all = map[sriov.Address]string{}
	for _, ns := range others {
		devices, err := pciIn(ns)
		if err != nil {
			return nil, err
		}
		if len(devices) == 0 {
			continue
		}
		holders, err := netns.Holders(ns.ID())
		if err != nil {
			return nil, err
		}
		for _, a := range devices {
			all[a] = describe(holders)
		}
	}
	return all, nil
}

// pciIn lists the PCI devices of a namespace's interfaces. It asks their drivers:
// sysfs shows only those of the namespace that it was mounted in.
func pciIn(ns *netns.Namespace) (all []sriov.Address, err error) {
	err = ns.Do(func() error {
		links, err := net.Interfaces()
		if err != nil {
			return fmt.Errorf("list interfaces of %s: %w", ns.ID(), err)
		}
		sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open socket in %s: %w", ns.ID(), err)
		}
		defer unix.Close(sock)
		for _, link := range links {
			info, err := unix.IoctlGetEthtoolDrvinfo(sock, link.Name)
			if err != nil {
				continue // it has no driver that tells, or went while we looked
			}
			if a, err := sriov.ParseAddress(unix.ByteSliceToString(info.Bus_info[:])); err == nil {
				all = append(all, a)
			}
		}
		return nil
	})
	return all, err
}

// containerID is what Docker puts into the names of its containers' cgroups.
var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// describe names who keeps a namespace: its container if there is one.
func describe(holders []netns.Holder) string {
	var all []string
	for _, h := range holders {
		if h.PID == 0 {
			all = append(all, "the namespace "+h.Mount)
			continue
		}
		cgroup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(h.PID), "cgroup"))
		if id := containerID.Find(cgroup); err == nil && id != nil {
			return fmt.Sprintf("container %s, process %d (%s)", id[:12], h.PID, printable(h.Comm))
		}
		all = append(all, fmt.Sprintf("process %d (%s)", h.PID, printable(h.Comm)))
	}
	return some(all)
}
