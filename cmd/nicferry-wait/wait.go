//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// interval is between two looks. After the first good one there is another, for
// what is set right after an address: the routes.
const interval = 20 * time.Millisecond

// wait returns nil once all interfaces were configured at two looks in a row,
// and otherwise why it gave up.
func wait(ctx context.Context, o options, signals <-chan os.Signal) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for good := 0; ; {
		missing := look(o)
		if good++; missing != nil {
			good = 0
		}
		if good == 2 {
			return nil
		}
		select {
		case <-tick.C:
		case s := <-signals:
			return signalError{s}
		case <-ctx.Done():
			if missing == nil {
				return nil
			}
			return fmt.Errorf("%w after %s: is nicferry-agent running, and has the container a label nicferry.network? (%w)",
				missing, o.timeout, ctx.Err())
		}
	}
}

// look says what an interface lacks; nil if nothing.
func look(o options) error {
	for _, name := range o.interfaces {
		if err := lookAt(name, o.family); err != nil {
			return fmt.Errorf("interface %q %w", name, err)
		}
	}
	return nil
}

func lookAt(name string, want family) error {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return errors.New("does not exist") // or its kernel says so, which comes to the same
	}
	if nic.Flags&net.FlagUp == 0 {
		return errors.New("is down")
	}
	if want != familyV6 && hasIPv4(nic) {
		return nil
	}
	if want == familyV4 {
		return errors.New("has no IPv4 address")
	}
	has, probed := false, false
	text, err := os.ReadFile("/proc/net/if_inet6")
	if err == nil {
		has, probed = readIPv6(string(text), name)
	} else if !errors.Is(err, fs.ErrNotExist) { // without IPv6 there is no such file
		return err
	}
	switch {
	case has:
		return nil
	case probed:
		return errors.New("has an IPv6 address, but is still probing for another holder of it")
	case want == familyV6:
		return errors.New("has no IPv6 address")
	}
	return errors.New("has no address")
}

func hasIPv4(nic *net.Interface) bool {
	addrs, err := nic.Addrs()
	if err != nil {
		return false // it went away; the next look says so
	}
	for _, addr := range addrs {
		if n, ok := addr.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// Flags of an address, linux/if_addr.h: it is being probed, or somebody else
// has it.
const (
	addrDADFailed = 0x08
	addrTentative = 0x40
)

// readIPv6 looks for a global address in /proc/net/if_inet6, whose lines are
// address, index, length, scope, flags and name, in hex but for the name. It
// is usable, or still being probed.
func readIPv6(text, name string) (usable, probed bool) {
	const global = 0
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 6 || f[5] != name {
			continue
		}
		scope, err := strconv.ParseUint(f[3], 16, 8)
		flags, err2 := strconv.ParseUint(f[4], 16, 32)
		if err != nil || err2 != nil || scope != global || flags&addrDADFailed != 0 {
			continue
		}
		if flags&addrTentative != 0 {
			probed = true
		} else {
			usable = true
		}
	}
	return usable, probed
}
